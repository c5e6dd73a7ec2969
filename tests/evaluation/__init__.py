"""Tests of soup_core/evaluation/."""
