"""`kubinet capture`: one tcpdump per place in the place's own network namespace; one pcapng file for all."""

import json
import os
import platform
import re
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from kubinet.addressing import pod_interface
from kubinet.errors import DeadlineError, KubinetError, MissingCapabilityError, UsageError
from kubinet.framewords import frame_words
from kubinet.pcapng import Interface, Packet, PcapngWriter, PcapStream, Sorter
from kubinet.sandbox import inside

if TYPE_CHECKING:
    from kubinet.cluster import Cluster

_START_SECONDS: Final = 10.0
_NAMES: Final = ("tcpdump: ", "dumpcap: ")
_ADVICE: Final = "See the User's Guide"
_NO_DEVICE: Final = re.compile(r"[Nn]o such device")


@dataclass(frozen=True, slots=True)
class Place:
    """One interface to capture on, and how to run a program where it is."""

    interface: Interface
    device: str
    command: Callable[[Sequence[str]], list[str]]


@dataclass(frozen=True, slots=True)
class Limits:
    """When a capture ends by itself; ctrl-C ends it at any time."""

    count: int | None = None
    seconds: float | None = None
    ended: threading.Event | None = None
    """Set by another thread to end it."""


def places_of(cluster: "Cluster", words: Sequence[str], namespace: str, packet_filter: str) -> list[Place]:
    """What `NODE`, `HOST`, `pod/NAME`, `link/NAME`, `NAME:INTERFACE` mean in this cluster.

    UsageError names what there is. A link has two places, its ends: a packet is seen as it is sent and as it arrives.
    """
    return [place for word in dict.fromkeys(words) for place in _places(cluster, word, namespace, packet_filter)]


def _places(cluster: "Cluster", word: str, namespace: str, packet_filter: str) -> list[Place]:
    kind, _, name = word.partition("/")
    if kind in ("pod", "pods", "po"):
        return [_pod(cluster, namespace, name, packet_filter)]
    facts = cluster.facts
    host, _, device = word.partition(":")
    for node in facts.nodes:
        if node.name == host:
            chosen = device or node.interface
            about = f"node {host}, interface {chosen}" + ("" if device else f" (underlay, {node.underlay})")
            return [Place(Interface(f"{host}:{chosen}", about, packet_filter), chosen, cluster.node(host).command)]
    for outside in facts.outside:
        if outside.name == host:
            chosen = device or "any"
            about = f"outside host {host} ({outside.address}), interface {chosen}"
            return [Place(Interface(f"{host}:{chosen}", about, packet_filter), chosen, cluster.outside(host).command)]
    ends = [(one["name"], end) for one in _links(cluster) for end in one["ends"]]
    found = [
        _end(cluster, link, end, packet_filter)
        for link, end in ends
        if link == word.removeprefix("link/") or word == f"{end['vertex']}:{end['interface']}"
    ]
    if found:
        return found
    known = ", ".join([one.name for one in facts.nodes] + [one.name for one in facts.outside])
    raise UsageError(
        f"{word!r} is no place to capture; there are {known}, each also as NAME:INTERFACE, pod/NAME, "
        "and link/NAME of `kubinet link ls`"
    )


def _pod(cluster: "Cluster", namespace: str, name: str, packet_filter: str) -> Place:
    pod = cluster.pod(name, namespace)
    if not pod.node:
        raise UsageError(f"pod '{namespace}/{name}' is not on a node yet; `kubinet describe pod {name}` says why")
    if pod.object["spec"].get("hostNetwork"):
        raise UsageError(f"pod '{namespace}/{name}' shares its node's network; capture on {pod.node}")
    phase = pod.object.get("status", {}).get("phase")
    if phase in ("Succeeded", "Failed"):
        raise UsageError(f"pod '{namespace}/{name}' has ended (phase {phase}): it has no network any more")
    about = f"pod {namespace}/{name} ({pod.address}) on node {pod.node}"
    interface = Interface(f"{namespace}/{name}", about, packet_filter)
    return Place(interface, pod_interface(namespace, name), cluster.node(pod.node).command)


def _links(cluster: "Cluster") -> list[dict[str, Any]]:
    """The underlay's links as its service describes them."""
    found: list[dict[str, Any]] = json.loads(
        cluster.run([sys.executable, "-m", "topologies.underlay_client", "links"]).text
    )
    return found


def _end(cluster: "Cluster", link: str, end: Mapping[str, Any], packet_filter: str) -> Place:
    vertex, device = str(end["vertex"]), str(end["interface"])
    interface = Interface(f"{vertex}:{device}", f"link {link}, its end at {vertex}", packet_filter)
    return Place(interface, device, partial(inside, cluster.info.pid, namespaces_of=int(end["pid"])))


def capture(
    places: Sequence[Place],
    stream: BinaryIO,
    limits: Limits,
    *,
    comment: str,
    names: Mapping[IPv4Address, str],
    started: Callable[[], None],
) -> list[int]:
    """Capture until a limit or ctrl-C; calls `started` when every tcpdump listens; packets per place."""
    counts = [0] * len(places)
    with ExitStack() as stack:
        running = [stack.enter_context(_tcpdump(place)) for place in places]
        writer = PcapngWriter(
            stream,
            [place.interface for place in places],
            comment=comment,
            system=f"{platform.system()} {platform.release()}",
            names=names,
        )
        started()
        sorter = Sorter()

        def write(packet: Packet) -> None:
            writer.write(packet, frame_words(packet.data, names))
            counts[packet.interface] += 1

        for packets in _batches(running, limits):
            for packet in packets:
                sorter.add(packet)
            for packet in sorter.due(time.time_ns()):
                write(packet)
            stream.flush()
        for packet in sorter.rest():
            if limits.count is None or sum(counts) < limits.count:
                write(packet)
        stream.flush()
    return counts


@contextmanager
def listening(places: Sequence[Place]) -> Iterator[Callable[[float], Iterator[list[Packet]]]]:
    """A tcpdump at each place; what is yielded gives the packets as they come, for so many seconds."""
    with ExitStack() as stack:
        running = [stack.enter_context(_tcpdump(place)) for place in places]
        yield lambda seconds: _batches(running, Limits(seconds=seconds))


def _root_capture(place: Place) -> list[str]:
    options = ["-w", "-", "-U", "--immediate-mode", "-Z", "root", "--time-stamp-precision=nano", "-n"]
    link = ["-y", "EN10MB"] if place.device != "any" else []
    packet_filter = [place.interface.filter] if place.interface.filter else []
    return ["tcpdump", "-i", place.device, *link, *options, *packet_filter]


def _user_capture(place: Place) -> list[str]:
    """Debian's tcpdump insists on changing its user, which a namespace with one user refuses; dumpcap does not."""
    if shutil.which("dumpcap") is None:
        raise MissingCapabilityError(
            "capture: an ordinary user needs the program dumpcap; ask an administrator: apt install wireshark-common"
        )
    packet_filter = ["-f", place.interface.filter] if place.interface.filter else []
    return ["dumpcap", "-q", "-i", place.device, *packet_filter, "-P", "-w", "-"]


@contextmanager
def _tcpdump(place: Place) -> Iterator["subprocess.Popen[bytes]"]:
    """A tcpdump that listens when the block begins, and is ended and waited for when it ends."""
    argv = _root_capture(place) if os.geteuid() == 0 else _user_capture(place)
    # A session of its own: ctrl-C is ours, and one signal reaches nsenter's child too.
    process = subprocess.Popen(
        place.command(argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        _wait_listening(process, place)
        yield process
    finally:
        _interrupt(process)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def refusal(said: str) -> str:
    """Why tcpdump or dumpcap ended, in one line: what it said last under its own name, without dumpcap's advice."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith(_ADVICE)]
    named = [number for number, line in enumerate(lines) if line.startswith(_NAMES)]
    return " ".join(lines[named[-1] if named else -1 :]).removeprefix(_NAMES[0]).removeprefix(_NAMES[1])


def _wait_listening(process: "subprocess.Popen[bytes]", place: Place) -> None:
    assert process.stderr is not None
    said = b""
    deadline = time.monotonic() + _START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        # tcpdump's words, and dumpcap's.
        while b"listening on" not in said and b"File: " not in said:
            if not selector.select(deadline - time.monotonic()):
                raise DeadlineError(f"{place.interface.name}: tcpdump did not listen within {_START_SECONDS:g} s")
            data = os.read(process.stderr.fileno(), 4096)
            if not data:
                text = refusal(said.decode(errors="replace"))
                if _NO_DEVICE.search(text):
                    text = f"there is no interface {place.device!r}; there are {', '.join(_devices(place))}"
                raise KubinetError(f"{place.interface.name}: cannot be captured: {text}")
            said += data


def _devices(place: Place) -> list[str]:
    """The interfaces of the place's network namespace."""
    listed = subprocess.run(place.command(["cat", "/proc/net/dev"]), capture_output=True, text=True, check=False).stdout
    return [line.partition(":")[0].strip() for line in listed.splitlines() if ":" in line]


def _batches(running: "Sequence[subprocess.Popen[bytes]]", limits: Limits) -> Iterator[list[Packet]]:
    """Lists of packets as they come; ends at a limit, on ctrl-C, or when every tcpdump has ended."""
    deadline = None if limits.seconds is None else time.monotonic() + limits.seconds
    left = limits.count
    with selectors.DefaultSelector() as selector:
        for number, process in enumerate(running):
            selector.register(process.stdout or -1, selectors.EVENT_READ, PcapStream(number))
        try:
            while selector.get_map():
                wait = 0.1 if deadline is None else min(0.1, deadline - time.monotonic())
                if (deadline is not None and wait <= 0) or (limits.ended is not None and limits.ended.is_set()):
                    break
                batch: list[Packet] = []
                for key, _ in selector.select(wait):
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        selector.unregister(key.fileobj)
                    batch += list(key.data.feed(data))
                yield batch if left is None else batch[:left]
                left = None if left is None else left - len(batch)
                if left is not None and left <= 0:
                    return
        except KeyboardInterrupt:
            pass
        for process in running:
            _interrupt(process)
        yield [packet for key in list(selector.get_map().values()) for packet in _drain(key)]


def _drain(key: selectors.SelectorKey) -> Iterator[Packet]:
    """What a tcpdump that was told to end still writes."""
    while data := os.read(key.fd, 1 << 16):
        yield from key.data.feed(data)


def _interrupt(process: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(process.pid, signal.SIGINT)
    except ProcessLookupError:
        return
