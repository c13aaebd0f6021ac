"""Tests of `dojo.grading`."""
