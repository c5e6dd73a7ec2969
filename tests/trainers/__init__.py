"""Sweeps of three runs by real trainers with their own defaults of saving, from nothing to a soup: see docs/trainers.md."""
