"""What both sides of the underlay's socket know."""

SOCKET = "underlay.sock"
"""The socket's name in the run directory."""
