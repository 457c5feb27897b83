"""Rich's consoles: one for results, one for progress; both honour NO_COLOR and know whether a person watches."""

from rich.console import Console


def results() -> Console:
    """Standard output: tables and facts. Not folded when a program reads it."""
    console = Console(highlight=False, soft_wrap=False)
    return console if console.is_terminal else Console(highlight=False, width=200)


def progress() -> Console:
    """Standard error: what we wait for."""
    return Console(stderr=True, highlight=False)
