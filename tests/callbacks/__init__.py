"""Tests of soup_core.callbacks."""
