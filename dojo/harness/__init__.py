"""Drives one solution through one spec: the exchange, its timeline, holds, and what a solution starts."""
