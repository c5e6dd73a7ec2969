"""Tests of soup_core/recipes/."""
