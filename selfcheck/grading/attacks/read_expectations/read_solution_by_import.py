"""Imports the solution as a module."""

import importlib.util

file = "@ROOT@/solutions/k01_notification_log/app.py"
spec = importlib.util.spec_from_file_location("solution", file)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
app, write_log = module.app, module.write_log
