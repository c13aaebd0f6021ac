"""Tests of `dojo.plugin`."""
