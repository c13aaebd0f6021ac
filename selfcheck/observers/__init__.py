"""Tests of `dojo.observers`."""
