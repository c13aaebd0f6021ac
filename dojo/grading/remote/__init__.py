"""Specs in one process and the solution in another: what the two tell each other, and how."""
