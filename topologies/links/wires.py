"""Making links: veth pairs, a netem pair or a userspace wire, each end named, addressed and shaped in its namespace."""

import errno
import os
import re
import socket
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from kubinet import netlink
from kubinet.errors import DeadlineError, KubinetError
from kubinet.inotify import wait_for_file
from kubinet.netlink import Netlink, Request, VethEnd
from topologies.links.mechanism import Shaper, Wire
from topologies.model import Link
from topologies.plan import Interface

_WIREFILTER_SPARE = 1 << 20
"""Bytes that a userspace wire holds beyond what is in flight; the declared queue is the shaper's."""
_QUEUE = 1000
"""Packets: the kernel's own default for Ethernet."""
_FIRST_INDEX = 1000
"""Interface numbers of what belongs to links are above those that the kernel gives in a namespace."""
_INDICES = 4
"""Of each link: its two ends, and the two ports between them that a netem pair has."""
_ANSWER_SECONDS = 30.0
_START_SECONDS = 30.0
"""Generous: a machine that stands still for some seconds is no reason to fail (a console once took more than 5 s)."""


@dataclass(frozen=True, slots=True)
class LinkEnds:
    """Both ends of a link and where they live."""

    link: Link
    wire: Wire
    a: Interface
    b: Interface
    pid_a: int
    pid_b: int
    mtu: int
    number: int
    """Distinguishes the names of what lies between the ends."""


class WireMaker:
    """Makes links from the sandbox's own namespace and keeps the processes of userspace wires."""

    def __init__(self, root: Netlink, run_dir: Path) -> None:
        self._root = root
        self._run_dir = run_dir / "wires"
        self._processes: dict[str, list[subprocess.Popen[bytes]]] = {}

    def make(self, ends: LinkEnds) -> None:
        """Create the link; both interfaces exist then, down, with their MAC addresses and MTU."""
        match ends.wire:
            case Wire.VETH:
                self._root.run([netlink.add_veth(*_ends(ends), ends.mtu)])
            case Wire.NETEM:
                self._netem(ends)
            case Wire.WIREFILTER:
                self._wirefilter(ends)

    def close(self) -> None:
        """End the userspace wires."""
        for processes in self._processes.values():
            for process in processes:
                process.terminate()
        for processes in self._processes.values():
            for process in processes:
                process.wait()
        self._processes.clear()

    def _netem(self, ends: LinkEnds) -> None:
        """a ~ wNa | bridge wN | wNb ~ b: netem on the bridge's ports, shapers on the ends, never both on one."""
        bridge = f"w{ends.number}"
        self._root.run([netlink.add_bridge(bridge, mtu=ends.mtu, ageing_time=0)])
        port = VethEnd(bridge, up=True, bridge=socket.if_nametoindex(bridge))
        ports = [
            replace(port, name=port_name(ends.number, side), index=_index(ends.number, place))
            for place, side in enumerate("ab", start=2)
        ]
        self._root.run(netlink.add_veth(port, end, ends.mtu) for port, end in zip(ports, _ends(ends), strict=True))
        self.impair(ends)

    def impair(self, ends: LinkEnds) -> None:
        """Set delay, jitter and loss of both directions on a link that has the means; replaces what was set."""
        if ends.wire is Wire.WIREFILTER:
            commands = [f"{name} {value}" for name, value in _filter_settings(ends.link).items()]
            _console(self._console_of(ends), commands, ends.link.name)
            return
        for port in (port_name(ends.number, side) for side in "ab"):
            arguments = ["tc", "qdisc", "replace", "dev", port, "root", "netem", "limit", "100000"]
            arguments += ["delay", f"{ends.link.delay * 1e6:.0f}us"]
            if ends.link.jitter:
                arguments += [f"{ends.link.jitter * 1e6:.0f}us", "distribution", "normal"]
            if ends.link.loss:
                arguments += ["loss", f"{ends.link.loss * 100:.6g}%"]
            _run(arguments, f"link '{ends.link.name}'")

    def _console_of(self, ends: LinkEnds) -> Path:
        return self._run_dir / str(ends.number) / "wirefilter"

    def _wirefilter(self, ends: LinkEnds) -> None:
        """a = tap | vde_switch | wirefilter | vde_switch | tap = b."""
        link = ends.link
        folder = self._run_dir / str(ends.number)
        folder.mkdir(parents=True)
        processes = self._processes.setdefault(link.name, [])
        for side, end, pid in (("a", ends.a, ends.pid_a), ("b", ends.b, ends.pid_b)):
            tap = f"w{ends.number}{side}"
            _run(["ip", "tuntap", "add", "dev", tap, "mode", "tap"], f"link '{link.name}'")
            console = folder / f"{side}.console"
            switch = ["vde_switch", "-x", "-s", str(folder / side), "-t", tap, "-n", "4", "-M", str(console)]
            processes.append(_start(switch, console, link.name))
            # Its sockets are there before it opens the tap by its name; it greets when everything is done.
            _greeted(console, link.name)
            self._root.run(
                [
                    netlink.change_link(tap, name=end.name, mac=end.mac, mtu=ends.mtu, queue=_QUEUE),
                    netlink.change_link(end.name, pid=pid),
                ]
            )
        settings = _filter_settings(link)
        filter_ = ["wirefilter", "-v", f"{folder / 'a'}:{folder / 'b'}", "-d", settings["delay"]]
        filter_ += ["-l", settings["loss"], "-c", settings["chanbufsize"]]
        management = self._console_of(ends)
        processes.append(_start([*filter_, "-M", str(management)], management, link.name))


_GAUSS_LIMIT = 3.0
"""wirefilter is given the limit that its normal distribution rarely leaves: three standard deviations (measured)."""


def _filter_settings(link: Link) -> dict[str, str]:
    """wirefilter's commands and values (wirefilter(1)): milliseconds, percent, bytes."""
    in_flight = (link.rate or 0.0) / 8 * (link.delay + 6 * link.jitter)
    return {
        "delay": f"{link.delay * 1e3:.6g}" + (f"+{link.jitter * 1e3 * _GAUSS_LIMIT:.6g}N" if link.jitter else ""),
        "loss": f"{link.loss * 100:.6g}",
        "chanbufsize": str(int(1.5 * in_flight) + _WIREFILTER_SPARE),
    }


def shape(index: int, shaper: Shaper) -> Request:
    """The request that puts a token bucket on a sending interface."""
    return netlink.set_token_bucket(index, rate=shaper.rate, burst=shaper.burst, limit=shaper.limit)


def port_name(number: int, side: str) -> str:
    """The bridge's port of a netem link that side a or b hangs on."""
    return f"w{number}{side}"


def _ends(ends: LinkEnds) -> tuple[VethEnd, VethEnd]:
    """Both ends with numbers that no other end has.

    Where a veth's end and its peer, each in its namespace, have the same number, the kernel takes the word of a carrier
    for one of those that can wait (net/core/link_watch.c), and a switch's port forwards up to a second late.
    """
    return (
        VethEnd(ends.a.name, ends.a.mac, pid=ends.pid_a, queue=_QUEUE, index=_index(ends.number, 0)),
        VethEnd(ends.b.name, ends.b.mac, pid=ends.pid_b, queue=_QUEUE, index=_index(ends.number, 1)),
    )


def _index(number: int, place: int) -> int:
    return _FIRST_INDEX + _INDICES * number + place


def _greeted(console: Path, link: str) -> None:
    """Wait until a vde_switch serves its console, and so everything else."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_START_SECONDS)
        try:
            deadline = time.monotonic() + _START_SECONDS
            while connection.connect_ex(str(console)) == errno.ECONNREFUSED and time.monotonic() < deadline:
                time.sleep(0.001)  # bound, but it does not listen yet: nothing tells of that
            greeting = connection.recv(1)
        except OSError as error:
            raise KubinetError(f"link '{link}': its vde_switch does not answer: {error}") from error
    if not greeting:
        raise KubinetError(f"link '{link}': its vde_switch ended while it started")


def _console(path: Path, commands: list[str], link: str) -> None:
    """Give commands to a running wirefilter on its management socket; it answers each with a code, 1000 for success."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        try:
            connection.connect(str(path))
            with connection.makefile("rb") as answers:
                for command in commands:
                    connection.sendall(command.encode() + b"\n")
                    code = _code(answers)
                    if code != "1000":
                        raise KubinetError(f"link '{link}': wirefilter answered {code} to {command!r}")
        except OSError as error:
            raise KubinetError(f"link '{link}': its wirefilter does not answer: {error}") from error


def _code(answers: BinaryIO) -> str:
    """The code of the next answer; greeting and prompts may stand before it."""
    while line := answers.readline():
        match = re.search(rb"\b(1\d{3}) ", line)
        if match:
            return match[1].decode()
    return "nothing"


def _run(argv: list[str], what: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KubinetError(f"{what}: {' '.join(argv)!r} failed: {done.stderr.strip() or done.stdout.strip()}")


def _start(argv: list[str], appears: Path, link: str) -> "subprocess.Popen[bytes]":
    """Start a program of a userspace wire and wait until its socket is there."""
    appears.parent.mkdir(parents=True, exist_ok=True)
    # Its standard input stays open: vde_switch and wirefilter end when their console ends.
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    handle = os.pidfd_open(process.pid)
    try:
        if wait_for_file(appears, _START_SECONDS, unless=[handle]):
            return process
    finally:
        os.close(handle)
    if process.poll() is None:
        process.kill()
        process.wait()
        raise DeadlineError(f"link '{link}': {argv[0]} did not make {appears} in {_START_SECONDS:g} s")
    words = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
    raise KubinetError(f"link '{link}': {argv[0]} ended with status {process.returncode}: {words}")
