"""Tests of soup_core/finetune/."""
