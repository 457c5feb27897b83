"""Byte streams of pods: logs, and exec over WebSocket and SPDY/3.1."""
