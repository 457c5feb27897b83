"""The root of the command tree: the Typer application and the decorator that puts a command into it."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Final, TypeVar

import typer

Function = TypeVar("Function", bound=Callable[..., Any])

CONTEXT: Final[dict[str, Any]] = {"help_option_names": ["--help", "-h"], "max_content_width": 120}

app = typer.Typer(
    name="kubinet",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings=CONTEXT,
    pretty_exceptions_enable=False,
)


class Panel(StrEnum):
    """The groups of commands in `kubinet --help`, in its order."""

    CLUSTERS = "Clusters"
    OBJECTS = "Objects (as kubectl)"
    NETWORK = "Network"
    EXPERIMENTS = "Topologies and experiments"
    OTHER = "Other"


EXAMPLES: Final[dict[tuple[str, ...], Sequence[str]]] = {}
"""Example lines by command path; shown under the help and in docs/cli.md."""


def epilog(path: Sequence[str], examples: Sequence[str]) -> str:
    """The help's last paragraph, and the examples kept for the documentation."""
    EXAMPLES[tuple(path)] = tuple(examples)
    lines = ["[bold]Examples[/bold]", *(example.replace("[", r"\[") for example in examples)]
    return "\n\n".join(lines)


def command(name: str, panel: Panel, examples: Sequence[str]) -> Callable[[Function], Function]:
    """Make the function the command `kubinet NAME`; its docstring is the help, every command has an example."""
    return into(app, (name,), examples, rich_help_panel=panel.value)


def into(
    parent: typer.Typer, path: Sequence[str], examples: Sequence[str], **options: Any
) -> Callable[[Function], Function]:
    """Make the function the command `kubinet PATH…` of the group `parent`."""

    def register(function: Function) -> Function:
        text = paragraphs(function.__doc__ or "")
        parent.command(path[-1], help=text, epilog=epilog(path, examples), context_settings=CONTEXT, **options)(
            function
        )
        return function

    return register


def paragraphs(docstring: str) -> str:
    """The docstring with each paragraph on one line: the terminal's width decides where lines break."""
    return "\n\n".join(" ".join(part.split()) for part in docstring.split("\n\n"))


def group(name: str, panel: Panel, text: str) -> typer.Typer:
    """A command with commands of its own, `kubinet NAME …`."""
    child = typer.Typer(
        name=name,
        help=text,
        no_args_is_help=True,
        rich_markup_mode="rich",
        context_settings=CONTEXT,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.add_typer(child, name=name, rich_help_panel=panel.value)
    return child
