"""Tests of soup_core/charts/."""
