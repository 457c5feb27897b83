"""Describes and builds the underlay."""
