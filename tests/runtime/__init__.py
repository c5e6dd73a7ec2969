"""Tests of soup_core/runtime/."""
