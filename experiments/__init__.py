"""Asks: one folder, one question."""
