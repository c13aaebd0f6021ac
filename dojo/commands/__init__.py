"""The commands of the `dojo` command line that are a learner's comfort."""
