"""Tests of soup_core/analysis/."""
