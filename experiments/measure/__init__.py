"""Measurements over real tools: each module has a pure parser and a thin runner."""
