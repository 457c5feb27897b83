"""Through which ports a packet leaves a node's bridges: from the flows' actions and Open vSwitch's notes. Pure."""

import re
from collections.abc import Iterator
from typing import Final

from controller.openflow.fields import IN_PORT_RESERVED
from controller.walk import packet as packets
from controller.walk.datapath import Encapsulate
from controller.walk.hops import Exit
from controller.walk.packet import PORT_NUMBERS
from controller.walk.parse import Section, Step
from kubinet.addressing import (
    INTEGRATION_BRIDGE,
    INTEGRATION_PATCH_PORT,
    TUNNEL_PORT,
    UPLINK_BRIDGE,
    UPLINK_PATCH_PORT,
)

_OUTPUT: Final = re.compile(r"^(?:output:)?(\d+|LOCAL|IN_PORT)$")
_REGISTER: Final = re.compile(r"^output:NXM_NX_REG\d+\[")
_NOTED: Final = re.compile(r"^output port is (\d+)$")
_SKIPPED: Final = "skipping output to input port"
_PATCHES: Final = {
    (INTEGRATION_BRIDGE, UPLINK_PATCH_PORT): (UPLINK_BRIDGE, INTEGRATION_PATCH_PORT),
    (UPLINK_BRIDGE, INTEGRATION_PATCH_PORT): (INTEGRATION_BRIDGE, UPLINK_PATCH_PORT),
}
"""The node's patch ports, and where each leads."""


def exits(section: Section, in_port: int) -> Iterator[Exit]:
    """The ports that the packet leaves through at the end of a pass that began with it at `in_port`."""
    came_by = {section.steps[0].bridge: in_port} if section.steps else {}
    tunnelled = False
    for position, step in enumerate(section.steps):
        if tunnelled and step.bridge == UPLINK_BRIDGE:
            continue  # the outer packet, which `Exit.outer` is about
        port = _port(step)
        if port is None or _SKIPPED in step.notes:
            continue
        if port == IN_PORT_RESERVED:
            port = came_by.get(step.bridge, in_port)
        following = section.steps[position + 1 :]
        there = _PATCHES.get((step.bridge, port))
        if there is not None and following and following[0].bridge == there[0]:
            came_by[there[0]] = there[1]
            continue
        tunnelled = (step.bridge, port) == (INTEGRATION_BRIDGE, TUNNEL_PORT)
        packet = packets.parse(section.final).packet
        if tunnelled:
            yield Exit(step.bridge, port, packet, _outer(section), "; ".join(step.warnings))
        else:
            yield Exit(step.bridge, port, packet, trouble="; ".join(step.warnings))


def _port(step: Step) -> int | None:
    for action in step.actions:
        if _REGISTER.match(action):
            return next((int(found[1]) for note in step.notes if (found := _NOTED.match(note))), None)
        if found := _OUTPUT.match(action):
            return PORT_NUMBERS[found[1]] if found[1] in PORT_NUMBERS else int(found[1])
    return None


def _outer(section: Section) -> Encapsulate | None:
    """The outer header as the datapath adds it, else as the flows have asked for it."""
    for action in section.datapath:
        if isinstance(action, Encapsulate):
            return action
    tunnel = packets.parse(section.final).tunnel
    return Encapsulate(None, tunnel.destination, 0) if tunnel is not None else None
