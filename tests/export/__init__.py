"""Tests of soup_core/export/."""
