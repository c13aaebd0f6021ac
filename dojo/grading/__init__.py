"""Grading: submissions in, verdicts out, put together outside the processes that ran them."""
