"""The tool behind the katas: it runs a solution, watches it, and explains each red spec."""

__version__ = "1.0.0"
