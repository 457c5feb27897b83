"""How errors name a choice to callers of both kinds: as `kubinet run` and as `run_experiment` call it. Pure."""


def option(name: str, python: str = "") -> str:
    """`--output-dir (from Python: output_dir)`; `python`: the argument where it is not the option's name."""
    return f"{name} (from Python: {python or name.partition(' ')[0].lstrip('-').replace('-', '_')})"
