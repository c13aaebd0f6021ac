"""What the specs cost in time: `python -m benchmarks`."""
