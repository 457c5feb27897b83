"""Teaches: one folder, one lab."""
