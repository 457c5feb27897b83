"""Kubinet's own experiments: a file each, which `kubinet run` knows by name, and the plug-ins that only they need."""
