"""Tests of `dojo.doubles`."""
