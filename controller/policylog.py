"""Writes what policies deny to the cluster's log, while somebody wants it: see `kubinet.deniedlog`.

Bridges send the first bytes of denied packets, at most as many as their meter lets through. Packets of one 5-tuple
within a second are one line with a count. The file has a largest size, and one older file is kept.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from controller.openflow.decode import PacketIn
from controller.policy.meanings import Meaning
from controller.registers import EGRESS_RULE, INGRESS_RULE
from kubinet.deniedlog import FILE, OLDER_FILE, End, Entry, until_of, until_text
from kubinet.policies import Direction
from kubinet.state import ClusterState
from kubinet.transport import Protocol

_LOG: Final = logging.getLogger(__name__)
MAX_BYTES: Final = 4 * 1024 * 1024
"""Of the file; the older one has as much again."""
MOST_FLOWS: Final = 4096
"""5-tuples that are kept for a second; others are left out of the log."""
LONGEST_SECONDS: Final = 3600.0
"""Between two looks at a lease, however long it is."""
_SECONDS: Final = 1.0
_ETHERNET: Final = 14
_IPV4: Final = 0x0800
_ICMP: Final = 1
_FRAGMENT: Final = 0x1FFF


@dataclass(frozen=True, slots=True)
class Denial:
    """A denied packet: where, its 5-tuple, and the number of what decided."""

    node: str
    direction: Direction
    number: int
    protocol: int
    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int


def denial(node: str, packet: PacketIn) -> Denial | None:
    """What a bridge tells; None for what is no IPv4 packet with its header."""
    data = packet.data
    if len(data) < _ETHERNET + 20 or int.from_bytes(data[12:14], "big") != _IPV4:
        return None
    header = data[_ETHERNET:]
    protocol, length = header[9], (header[0] & 0x0F) * 4
    first = not int.from_bytes(header[6:8], "big") & _FRAGMENT
    ports = header[length : length + 4] if first and protocol in set(Protocol) else b""
    # Egress decides before ingress, on the same packet perhaps: what ingress has left decides last.
    ingress = packet.registers.get(INGRESS_RULE.field.number, 0)
    return Denial(
        node=node,
        direction=Direction.INGRESS if ingress else Direction.EGRESS,
        number=ingress or packet.registers.get(EGRESS_RULE.field.number, 0),
        protocol=protocol,
        source=IPv4Address(header[12:16]),
        source_port=int.from_bytes(ports[:2], "big"),
        destination=IPv4Address(header[16:20]),
        destination_port=int.from_bytes(ports[2:4], "big"),
    )


@dataclass(frozen=True, slots=True)
class Names:
    """Whom addresses and numbers stand for, at one moment."""

    pods: Mapping[IPv4Address, str] = field(default_factory=dict)
    nodes: Mapping[IPv4Address, str] = field(default_factory=dict)
    deciders: Mapping[int, Meaning] = field(default_factory=dict)

    @classmethod
    def of(cls, state: ClusterState, deciders: Mapping[int, Meaning]) -> "Names":
        """Those of a state."""
        nodes = {
            address: node.name for node in state.nodes.values() for address in (node.underlay.ip, node.pod_gateway)
        }
        return cls({pod.address: pod.key for pod in state.pods.values()}, nodes, deciders)

    def entry(self, denied: Denial, when: float, count: int) -> Entry:
        """The line for packets of one 5-tuple, the first of them at `when` (seconds since the epoch)."""
        meaning = self.deciders.get(denied.number)
        return Entry(
            time=until_text(when),
            node=denied.node,
            direction=str(denied.direction),
            protocol=_protocol_name(denied.protocol),
            source=self._end(denied.source, denied.source_port),
            destination=self._end(denied.destination, denied.destination_port),
            policies=meaning.policies if meaning is not None else (),
            rule=meaning.rule if meaning is not None else f"number {denied.number:#x}",
            count=count,
        )

    def _end(self, address: IPv4Address, port: int) -> End:
        return End(str(address), port, self.pods.get(address, ""), self.nodes.get(address, ""))


def _protocol_name(number: int) -> str:
    if number == _ICMP:
        return "ICMP"
    return Protocol(number).name if number in set(Protocol) else str(number)


@dataclass(slots=True)
class Second:
    """Counts equal packets until a second has passed since the first of them."""

    _known: dict[Denial, tuple[float, int, Names]] = field(default_factory=dict)
    """When the first came, how many, and what names were then."""

    def add(self, denied: Denial, now: float, names: Names) -> None:
        """One more packet."""
        known = self._known.get(denied)
        if known is not None:
            since, count, before = known
            self._known[denied] = (since, count + 1, before)
        elif len(self._known) < MOST_FLOWS:
            self._known[denied] = (now, 1, names)

    def due(self, now: float, present: Names) -> list[Entry]:
        """What is to be told now; it is forgotten. `present`: for numbers that had no name yet."""
        ready = {denied: known for denied, known in self._known.items() if known[0] + _SECONDS <= now}
        for denied in ready:
            del self._known[denied]
        return [
            (names if denied.number in names.deciders else present).entry(denied, since, count)
            for denied, (since, count, names) in ready.items()
        ]

    def wait(self, now: float) -> float | None:
        """Seconds until something is due; None: nothing is there."""
        first = min((since for since, _, _ in self._known.values()), default=None)
        return None if first is None else max(0.0, first + _SECONDS - now)


class PolicyLog:
    """The log of a cluster. Packets may come from any thread; one thread writes."""

    def __init__(self, folder: Path) -> None:
        self._file, self._older = folder / FILE, folder / OLDER_FILE
        self._second = Second()
        self._names = Names()
        self._news = threading.Condition()

    def start(self) -> None:
        """Write from now on."""
        threading.Thread(target=self._run, name="policy log", daemon=True).start()

    def name(self, names: Names) -> None:
        """What addresses and numbers stand for from now on."""
        with self._news:
            self._names = names

    def packet(self, node: str, packet: PacketIn) -> None:
        """A node's bridge tells of a denied packet; returns at once."""
        found = denial(node, packet)
        if found is not None:
            with self._news:
                self._second.add(found, time.time(), self._names)
                self._news.notify()

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait(self._second.wait(time.time()))
                due = self._second.due(time.time(), self._names)
            try:
                self.write(due)
            except OSError as error:
                _LOG.warning("denied packets cannot be logged: %s", error)

    def write(self, entries: list[Entry]) -> None:
        """Append lines; a full file becomes the older one."""
        if not entries:
            return
        if self._file.exists() and self._file.stat().st_size > MAX_BYTES:
            self._file.replace(self._older)
        with self._file.open("a") as file:
            file.writelines(entry.to_line() for entry in entries)


class Lease:
    """Whether packets are logged, and a reminder of the moment when they are not any more."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._timer: threading.Timer | None = None

    def runs(self, topology: Mapping[str, Any]) -> bool:
        """Whether the object `Topology/cluster` asks for the log at this moment; `on_end` is called when it ends."""
        left = until_of(topology) - time.time()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if left <= 0:
            return False
        self._timer = threading.Timer(min(left, LONGEST_SECONDS), self._on_end)
        self._timer.daemon = True
        self._timer.start()
        return True
