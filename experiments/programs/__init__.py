"""Small network programs of our own that experiments start at places: Python's standard library only, one file each.

A place may be a pod whose container knows nothing of Kubinet, so a program's text travels with the call (`running.py`).
Each module has `main(settings)`; what it writes are JSON documents, one a line, and it ends with its standard input.
"""
