"""Load on Services by `agnhost load-client`: who answered which source port, times of an open loop, connection rate."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final

from experiments.measure.target import Target
from kubinet.errors import KubinetError

PROGRAM: Final = "/agnhost"
TIMEOUT_S: Final = 15.0
"""After which a connection or request counts as failed."""

Address = tuple[IPv4Address, int]


@dataclass(frozen=True, slots=True)
class Spread:
    """Who answered one connection from each source port, to one address."""

    started_s: float
    """Seconds since 1970."""
    ended_s: float
    servers: tuple[str, ...]
    """In the order of ports; empty where nobody answered."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of an open loop."""

    due_s: float
    """When it was to start, seconds after the beginning."""
    time_ms: float
    """From then to its answer."""
    late_ms: float
    """How late the client started it."""
    server: str
    failure: str
    """Empty when it was answered."""


@dataclass(frozen=True, slots=True)
class RequestRun:
    """One client's open loop."""

    started_s: float
    """Seconds since 1970."""
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class RateRun:
    """Connections one after the other, some at a time."""

    started_s: float
    """Seconds since 1970."""
    seconds: float
    answered: int
    failed: int

    @property
    def per_second(self) -> float:
        """Answered connections per second."""
        return self.answered / self.seconds


def parse_spreads(text: str) -> tuple[Spread, ...]:
    """Read `load-client connect`; KubinetError when it is not its JSON."""
    return tuple(
        Spread(float(one["started"]), float(one["ended"]), tuple(map(str, one["servers"]))) for one in _list(text)
    )


def parse_requests(text: str) -> RequestRun:
    """Read `load-client requests`; KubinetError when it is not its JSON."""
    document = _object(text)
    rows = document["requests"]
    found = (
        Request(float(due), float(took), float(late), server, failure) for due, took, late, server, failure in rows
    )
    return RequestRun(float(document["started"]), tuple(found))


def parse_rate(text: str) -> RateRun:
    """Read `load-client rate`; KubinetError when it is not its JSON."""
    document = _object(text)
    return RateRun(*(document[name] for name in ("started", "seconds", "answered", "failed")))


def connect(
    source: Target, targets: Sequence[Address], *, first_port: int, ports: int, timeout_s: float = TIMEOUT_S
) -> tuple[tuple[Spread, ...], str]:
    """One connection from each source port to each target; target i has the ports from `first_port` + i x `ports`."""
    text = _run(
        source,
        ("connect", ",".join(map(_word, targets)), f"--first-port={first_port}", f"--ports={ports}", "--parallel=4"),
        timeout_s,
        len(targets) * ports * 0.1 + 60,
    )
    return parse_spreads(text), text


def requests(
    source: Target, target: Address, *, interval_s: float, seconds: float, seed: int, start_at_s: float
) -> tuple[RequestRun, str]:
    """An open loop with Poisson arrivals, which starts at `start_at_s` (seconds since 1970)."""
    timing = (f"--interval={interval_s * 1000:.3f}ms", f"--seconds={seconds:.3f}s", f"--start-at={start_at_s:.3f}")
    text = _run(source, ("requests", _word(target), *timing, f"--seed={seed}"), TIMEOUT_S, seconds + 90)
    return parse_requests(text), text


def rate(source: Target, targets: Sequence[Address], *, seconds: float, parallel: int) -> tuple[RateRun, str]:
    """Connections to the targets in turn, as fast as they are answered, `parallel` at a time."""
    arguments = ("rate", ",".join(map(_word, targets)), f"--seconds={seconds:.3f}s", f"--parallel={parallel}")
    text = _run(source, arguments, TIMEOUT_S, seconds + 60)
    return parse_rate(text), text


def _run(source: Target, arguments: Sequence[str], timeout_s: float, deadline_s: float) -> str:
    argv = [PROGRAM, "load-client", *arguments, f"--timeout={timeout_s:g}s"]
    return source.exec(argv, timeout=deadline_s).stdout.decode(errors="replace")


def _word(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def _document(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise KubinetError(f"agnhost load-client: its output is not JSON ({error})") from error


def _list(text: str) -> list[dict[str, Any]]:
    document = _document(text)
    if not isinstance(document, list) or not all("servers" in one for one in document):
        raise KubinetError("agnhost load-client: its output is not that of mode connect")
    return document


def _object(text: str) -> dict[str, Any]:
    document = _document(text)
    if not isinstance(document, dict) or "started" not in document:
        raise KubinetError("agnhost load-client: its output is not that of modes rate and requests")
    return document
