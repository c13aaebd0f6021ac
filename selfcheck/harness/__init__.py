"""Tests of `dojo.harness`."""
