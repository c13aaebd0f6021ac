"""Hands pytest the dojo's plugin."""

pytest_plugins = ["dojo.plugin"]
