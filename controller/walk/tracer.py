"""Who asks a node's Open vSwitch; the walk itself opens no socket."""

from collections.abc import Sequence
from typing import Protocol


class Tracer(Protocol):
    """A way to a node's `ovs-vswitchd`: a private one of a test, or a running cluster's."""

    def trace(self, node: str, words: Sequence[str]) -> str:
        """The answer to the unixctl command `words`, such as `ofproto/trace br-int FLOW`; KubinetError when refused."""


def as_received(bridge: str, flow: str) -> list[str]:
    """The command that puts a packet in at a bridge's port."""
    return ["ofproto/trace", bridge, flow]


def resumed(bridge: str, flow: str, table: int, tunnel: str | None = None) -> list[str]:
    """The command that puts a packet in at a table, with its registers and its connection's state.

    Open vSwitch's own continuation would know neither the connection's marks nor its translation. `tunnel`: the outer
    destination that flows have set; in the flow's text it would be taken for where the packet came from.
    """
    actions = [f"set_field:{tunnel}->tun_dst"] if tunnel else []
    return ["ofproto/trace-packet-out", bridge, flow, ",".join([*actions, f"resubmit(,{table})"])]
