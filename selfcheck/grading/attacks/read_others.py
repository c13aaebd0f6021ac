"""Reads what others have handed in.

state: graded
"""

import glob

for file in glob.glob("@FOLDER@/submissions/*-honest-one/*/app.py"):
    exec(open(file).read())
