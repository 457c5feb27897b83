"""A walk's story on the terminal, and as JSON for programs."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from controller.walk.hops import StackHop, SwitchHop
from controller.walk.packet import Packet, protocol_word
from controller.walk.words.story import Account, Line, Remark, Stage, Story

Object: TypeAlias = dict[str, Any]
_NARROWEST: Final = 24
"""Columns of the text, however narrow the terminal."""
_BESIDE: Final = 4 + 15 + 3 * 2
"""Columns of a table's number and name, and the gaps."""


def show(console: Console, story: Story, others: Mapping[str, Story], *, everything: bool) -> None:
    """Print it; `everything`: also tables that only hand the packet on, and each flow's match and actions.

    `others`: what becomes of the packet where the Service chooses another endpoint.
    """
    _account(console, story.request, everything)
    if story.reply is not None:
        console.print()
        console.print("[bold]The answer[/bold]")
        _account(console, story.reply, everything)
    if others:
        console.print()
        console.print("[bold]Other endpoints[/bold] (--endpoint follows one)")
    for endpoint, other in others.items():
        colour = "green" if other.delivered else "red"
        console.print(f"{escape(endpoint)}: [{colour}]{escape(_summary(other))}[/{colour}]", soft_wrap=True)


def _summary(story: Story) -> str:
    """The request's end; the answer's, where only that one went wrong."""
    failed = story.reply is not None and not story.reply.walk.outcome.delivered
    if story.reply is not None and failed and story.request.walk.outcome.delivered:
        return f"the answer: {story.reply.verdict.text}"
    return "delivered" if story.delivered else story.request.verdict.text


def _account(console: Console, account: Account, everything: bool) -> None:
    console.print(f"[bold]{escape(account.title)}[/bold]", soft_wrap=True)
    told = [line for stage in account.stages for line in stage.lines if isinstance(line, Remark) or line.text]
    widest = max((len(line.text) for line in told), default=0)
    owners = max((len(line.owner) for line in told if isinstance(line, Line)), default=0)
    # The same columns at every hop.
    width = max(_NARROWEST, min(widest, console.width - _BESIDE - owners))
    for stage in account.stages:
        console.print(f"[cyan]{escape(stage.title)}[/cyan]")
        if stage.lines:
            console.print(_table(stage, width, everything))
    verdict = account.verdict
    colour = "green" if account.walk.outcome.delivered else "red"
    console.print(f"[{colour}]{escape(verdict.text)}[/{colour}]", soft_wrap=True)
    if verdict.owner and not verdict.owner.startswith("Topology/"):
        console.print(f"Decided by: {escape(verdict.owner)}", soft_wrap=True)
    if verdict.remedy:
        console.print(f"Remedy: {escape(verdict.remedy)}", soft_wrap=True)


def _table(stage: Stage, width: int, everything: bool) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right", width=4, no_wrap=True)
    table.add_column(width=15, no_wrap=True)
    table.add_column(width=width, overflow="fold")
    table.add_column(overflow="fold", style="dim")
    for line in stage.lines:
        if isinstance(line, Remark):
            place = f"(zone {line.zone})" if line.zone is not None else "(controller)"
            table.add_row("", place, escape(line.text), "")
        elif line.text or everything:
            table.add_row(str(line.step.number), line.step.table, escape(line.text), escape(line.owner))
            if everything:
                table.add_row("", "", f"[dim]{escape(_flow(line))}[/dim]", "")
    return table


def _flow(line: Line) -> str:
    step = line.step
    if step.missed:
        return "no flow matches"
    match = f",{step.match}" if step.match else ""
    return f"priority={step.priority}{match} actions={','.join(step.actions) or 'drop'}"


def document(story: Story, others: Mapping[str, Story]) -> Object:
    """The story with every table's flow; of the other endpoints the ends alone."""
    return {
        "otherEndpoints": [
            {"endpoint": endpoint, "delivered": other.delivered, "says": _summary(other)}
            for endpoint, other in others.items()
        ],
        "delivered": story.delivered,
        "request": _account_document(story.request),
        "reply": _account_document(story.reply) if story.reply is not None else None,
    }


def _account_document(account: Account) -> Object:
    outcome, verdict = account.walk.outcome, account.verdict
    return {
        "title": account.title,
        "packet": _packet(account.walk.packet),
        "hops": [_stage(stage) for stage in account.stages],
        "outcome": {
            "ending": outcome.ending.value,
            "party": outcome.party.value if outcome.party is not None else None,
            "name": outcome.name,
            "node": outcome.node,
            "table": outcome.step.table if outcome.step is not None else None,
            "says": verdict.text,
            "owner": verdict.owner,
            "remedy": verdict.remedy,
        },
    }


def _stage(stage: Stage) -> Object:
    hop = stage.hop
    common: Object = {"title": stage.title, "packet": _packet(hop.packet)}
    if isinstance(hop, SwitchHop):
        exits = [{"bridge": left.bridge, "port": left.port, "packet": _packet(left.packet)} for left in hop.exits]
        steps = [_line(line) for line in stage.lines]
        return common | {
            "kind": "switch",
            "node": hop.node,
            "bridge": hop.bridge,
            "port": hop.port,
            "steps": steps,
            "exits": exits,
        }
    if isinstance(hop, StackHop):
        return common | {"kind": "stack", "node": hop.node, "does": hop.turn.value, "device": hop.device}
    outer = hop.outer
    around = None
    if outer is not None:
        source = str(outer.source) if outer.source is not None else None
        around = {"source": source, "destination": str(outer.destination), "port": outer.port}
    return common | {"kind": "underlay", "from": hop.source, "to": hop.destination, "outer": around}


def _line(line: Line | Remark) -> Object:
    if isinstance(line, Remark):
        return {"zone": line.zone, "says": line.text}
    step = line.step
    return {
        "bridge": step.bridge,
        "table": step.number,
        "name": step.table,
        "priority": step.priority,
        "match": step.match,
        "actions": list(step.actions),
        "notes": list(step.notes),
        "cookie": f"{step.cookie:#x}",
        "category": step.category,
        "owner": line.owner,
        "says": line.text,
    }


def _packet(packet: Packet) -> Object:
    ports = {}
    if packet.protocol is not None:
        ports = {"sourcePort": packet.source_port, "destinationPort": packet.destination_port}
    return {
        "protocol": protocol_word(packet.protocol).upper(),
        "source": str(packet.source),
        "destination": str(packet.destination),
        **ports,
        "ethSource": packet.eth_src,
        "ethDestination": packet.eth_dst,
        "ttl": packet.ttl,
    }
