"""Tests of soup_core/e2e/."""
