"""Tests of soup_core/checkpoints/."""
