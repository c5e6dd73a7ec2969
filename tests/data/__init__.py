"""Tests of soup_core/data/."""
