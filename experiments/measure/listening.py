"""Whether something listens on a TCP port: a fact read from /proc/net/tcp of a pod or host."""

import time
from collections.abc import Iterable
from typing import Final

from experiments.measure.target import Target
from kubinet.errors import DeadlineError

_LISTEN: Final = "0A"
"""TCP_LISTEN in /proc/net/tcp (include/net/tcp_states.h)."""


def listening_ports(text: str) -> frozenset[int]:
    """TCP ports in state LISTEN, from the text of /proc/net/tcp and /proc/net/tcp6; other lines are skipped."""
    return frozenset(_ports(text.splitlines()))


def _ports(lines: Iterable[str]) -> Iterable[int]:
    for line in lines:
        fields = line.split()
        if len(fields) > 3 and fields[3] == _LISTEN and ":" in fields[1]:
            yield int(fields[1].rsplit(":", 1)[1], 16)


def wait_listening(target: Target, port: int, *, timeout_s: float = 15.0) -> None:
    """Return when `target` listens on TCP `port`; DeadlineError with the ports seen last otherwise.

    The kernel gives no event for a new listening socket in another namespace, so this looks again 20 times a second.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        result = target.exec(["cat", "/proc/net/tcp", "/proc/net/tcp6"], timeout=timeout_s, check=False)
        ports = listening_ports(result.stdout.decode(errors="replace"))
        if port in ports:
            return
        if time.monotonic() > deadline:
            seen = ", ".join(map(str, sorted(ports))) or "none"
            raise DeadlineError(
                f"{target.name}: nothing listens on TCP port {port} after {timeout_s:g} s (listening: {seen})"
            )
        time.sleep(0.05)
