"""The tool behind the katas: it drives an answer, watches what it does, and says what was seen."""

__version__ = "1.0.0"
