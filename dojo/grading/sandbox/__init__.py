"""Runs one submitted solution in a process of its own, as isolated as the machine allows."""
