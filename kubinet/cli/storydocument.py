"""A walk's story as JSON for programs."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from controller.walk.hops import StackHop, SwitchHop
from controller.walk.packet import Packet, protocol_word
from controller.walk.words.story import Account, Line, Remark, Stage, Story
from kubinet.cli.storyprinting import Beside, summary

Object: TypeAlias = dict[str, Any]


def document(
    story: Story, others: Mapping[str, Story], beside: tuple[Beside | None, Beside | None] = (None, None)
) -> Object:
    """The story with every table's flow; of the other endpoints the ends alone.

    `beside`: what a real packet has shown, of request and answer; steps then have the packets that they counted.
    """
    return {
        "otherEndpoints": [
            {"endpoint": endpoint, "delivered": other.delivered, "says": summary(other)}
            for endpoint, other in others.items()
        ],
        "delivered": story.delivered,
        "request": _account(story.request, beside[0]),
        "reply": _account(story.reply, beside[1]) if story.reply is not None else None,
    }


def _account(account: Account, beside: Beside | None) -> Object:
    outcome, verdict = account.walk.outcome, account.verdict
    return {
        "title": account.title,
        "packet": _packet(account.walk.packet),
        "hops": [_stage(stage, beside) for stage in account.stages],
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


def _stage(stage: Stage, beside: Beside | None) -> Object:
    hop = stage.hop
    common: Object = {"title": stage.title, "packet": _packet(hop.packet)}
    if isinstance(hop, SwitchHop):
        exits = [{"bridge": left.bridge, "port": left.port, "packet": _packet(left.packet)} for left in hop.exits]
        steps = [_line(line, hop.node, beside) for line in stage.lines]
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


def _line(line: Line | Remark, node: str, beside: Beside | None) -> Object:
    if isinstance(line, Remark):
        return {"zone": line.zone, "says": line.text}
    step = line.step
    counted = {} if beside is None else {"packets": beside.counted(node, step)}
    return counted | {
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
