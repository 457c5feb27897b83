"""A walk's story on the terminal."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from controller.walk.hops import SwitchHop
from controller.walk.parse import Step
from controller.walk.words.story import Account, Line, Remark, Stage, Story

_NARROWEST: Final = 24
"""Columns of the text, however narrow the terminal."""
_BESIDE: Final = 4 + 15 + 3 * 2
"""Columns of a table's number and name, and the gaps."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What a real packet has shown, to be printed beside its prediction."""

    counted: Callable[[str, Step], int]
    """Packets that the flow of a node's step has counted meanwhile."""
    seen: Mapping[int, Sequence[str]]
    """Captured frames by the hop that they are behind; -1: as it was sent."""


def show(
    console: Console,
    story: Story,
    others: Mapping[str, Story],
    *,
    everything: bool,
    beside: tuple[Beside | None, Beside | None] = (None, None),
) -> None:
    """Print it; `everything`: also tables that only hand the packet on, and each flow's match and actions.

    `others`: what becomes of the packet where the Service chooses another endpoint. `beside`: of request and answer.
    """
    _account(console, story.request, everything, beside[0])
    if story.reply is not None:
        console.print()
        console.print("[bold]The answer[/bold]")
        _account(console, story.reply, everything, beside[1])
    if others:
        console.print()
        console.print("[bold]Other endpoints[/bold] (--endpoint follows one)")
    for endpoint, other in others.items():
        colour = "green" if other.delivered else "red"
        console.print(f"{escape(endpoint)}: [{colour}]{escape(summary(other))}[/{colour}]", soft_wrap=True)


def summary(story: Story) -> str:
    """The request's end; the answer's, where only that one went wrong."""
    failed = story.reply is not None and not story.reply.walk.outcome.delivered
    if story.reply is not None and failed and story.request.walk.outcome.delivered:
        return f"the answer: {story.reply.verdict.text}"
    return "delivered" if story.delivered else story.request.verdict.text


def _account(console: Console, account: Account, everything: bool, beside: Beside | None) -> None:
    console.print(f"[bold]{escape(account.title)}[/bold]", soft_wrap=True)
    told = [line for stage in account.stages for line in stage.lines if isinstance(line, Remark) or line.text]
    widest = max((len(line.text) for line in told), default=0)
    owners = max((len(line.owner) for line in told if isinstance(line, Line)), default=0)
    # The same columns at every hop.
    width = max(_NARROWEST, min(widest, console.width - _BESIDE - owners))
    _frames(console, beside, -1)
    for number, stage in enumerate(account.stages):
        console.print(f"[cyan]{escape(stage.title)}[/cyan]", soft_wrap=True)
        if stage.lines:
            console.print(_table(stage, width, everything, beside))
        _frames(console, beside, number)
    verdict = account.verdict
    colour = "green" if account.walk.outcome.delivered else "red"
    console.print(f"[{colour}]{escape(verdict.text)}[/{colour}]", soft_wrap=True)
    if verdict.owner and not verdict.owner.startswith("Topology/"):
        console.print(f"Decided by: {escape(verdict.owner)}", soft_wrap=True)
    if verdict.remedy:
        console.print(f"Remedy: {escape(verdict.remedy)}", soft_wrap=True)


def _frames(console: Console, beside: Beside | None, hop: int) -> None:
    for line in beside.seen.get(hop, ()) if beside is not None else ():
        console.print(f"  [magenta]{escape(line)}[/magenta]", soft_wrap=True)


def _table(stage: Stage, width: int, everything: bool, beside: Beside | None) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right", width=4, no_wrap=True)
    table.add_column(width=15, no_wrap=True)
    table.add_column(width=width, overflow="fold")
    table.add_column(overflow="fold", style="dim")
    if beside is not None:
        table.add_column(no_wrap=True)
    node = stage.hop.node if isinstance(stage.hop, SwitchHop) else ""
    for line in stage.lines:
        if isinstance(line, Remark):
            place = f"(zone {line.zone})" if line.zone is not None else "(controller)"
            table.add_row("", place, escape(line.text))
        elif line.text or everything:
            count = [f"+{beside.counted(node, line.step)}"] if beside is not None else []
            table.add_row(str(line.step.number), line.step.table, escape(line.text), escape(line.owner), *count)
            if everything:
                table.add_row("", "", f"[dim]{escape(_flow(line))}[/dim]")
    return table


def _flow(line: Line) -> str:
    step = line.step
    if step.missed:
        return "no flow matches"
    match = f",{step.match}" if step.match else ""
    return f"priority={step.priority}{match} actions={','.join(step.actions) or 'drop'}"
