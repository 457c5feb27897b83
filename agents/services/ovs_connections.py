"""A node's tracked connections in its own Open vSwitch."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from ipaddress import IPv4Address

from agents.services.stale import (
    Entry,
    Known,
    Stale,
    flush_entry,
    flush_pod,
    flush_stale,
    matching_entries,
    read_entries,
    stale_entries,
)
from kubinet.addressing import MAIN_ZONE

Control = Callable[[], AbstractContextManager[Callable[..., str]]]
"""Opens a control connection to ovs-vswitchd, such as `agents.ovsrpc.Appctl`: command and arguments to its output."""
_FLUSH = "dpctl/flush-conntrack"
_MANY = 8
"""More stale connections than this are looked for in one list of all: a command for each would take longer."""


class OvsConnections:
    """Forgets connections by `dpctl/flush-conntrack`."""

    def __init__(self, control: Control, own: IPv4Address) -> None:
        """`control` opens a control connection to the node's ovs-vswitchd; `own` is the node's underlay address."""
        self._control = control
        self._own = own

    def forget(self, stale: frozenset[Stale], pods: frozenset[IPv4Address]) -> None:
        """Remove the stale UDP connections, and all that these pods answered; OvsError where the switch is down."""
        with self._control() as appctl:
            _settle(appctl)
            if len(stale) <= _MANY:
                for one in stale:
                    appctl(_FLUSH, *flush_stale(one, self._own))
            else:
                for entry in matching_entries(_entries(appctl), stale, self._own):
                    appctl(_FLUSH, *flush_entry(entry))
            for address in pods:
                appctl(_FLUSH, *flush_pod(address))

    def sweep(self, known: Known) -> None:
        """Compare all UDP connections with what is known, and remove the stale ones."""
        with self._control() as appctl:
            _settle(appctl)
            for entry in stale_entries(_entries(appctl), known, self._own):
                appctl(_FLUSH, *flush_entry(entry))


def _entries(appctl: Callable[..., str]) -> Iterator[Entry]:
    return read_entries(appctl("dpctl/dump-conntrack", f"zone={MAIN_ZONE}"))


def _settle(appctl: Callable[..., str]) -> None:
    """Wait until the datapath follows the flow tables: until then it would make the same connections again."""
    appctl("revalidator/wait")
