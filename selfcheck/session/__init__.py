"""Tests of `dojo.session`."""
