"""The pytest plugin: fixtures, time limits, and what a red spec says."""
