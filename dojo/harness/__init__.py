"""Drive one solution through one spec, and keep the timeline of what happens."""
