"""The command line, `kubinet`. Modules import what is heavy inside functions: `--help` must answer at once."""
