"""Round-trip times by iputils `ping`: one sample per reply, the kernel's receive timestamp.

`ping -D` prints the reply's wall-clock time. RTT is printed with three decimals below 1 ms, two below 10 ms, one
below 100 ms and none above: `PingRun.resolution_ms` says how coarse the samples are.
"""

import math
import re
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from experiments.measure.target import Target
from kubinet.errors import KubinetError

_REPLY: Final = re.compile(
    r"^\[(?P<time>\d+\.\d+)\] \d+ bytes from (?P<source>[0-9.]+): icmp_seq=(?P<sequence>\d+) ttl=(?P<ttl>\d+)"
    r" time=(?P<rtt>\d+(?:\.(?P<decimals>\d+))?) ms(?P<duplicate> \(DUP!\))?$"
)
_SUMMARY: Final = re.compile(r"^(?P<sent>\d+) packets transmitted, (?P<received>\d+) received\b")
_PROBLEM: Final = re.compile(r"^(?:ping: |From \S+.* icmp_seq=\d+ |.*Unreachable)")


@dataclass(frozen=True, slots=True)
class EchoReply:
    """One answered echo request."""

    sequence: int
    """1 is the first request."""
    time_s: float
    """When the reply arrived, seconds since 1970."""
    rtt_ms: float
    ttl: int


@dataclass(frozen=True, slots=True)
class PingRun:
    """What one call of `ping` saw; late duplicates are counted, not used."""

    target: IPv4Address
    sent: int
    received: int
    duplicates: int
    replies: tuple[EchoReply, ...]
    resolution_ms: float
    """The coarsest step between two printed values."""

    def after_warmup(self, warmup: int) -> tuple[EchoReply, ...]:
        """Replies to the requests after the first `warmup`."""
        return tuple(reply for reply in self.replies if reply.sequence > warmup)

    @property
    def loss(self) -> float:
        """Share of requests without a reply, 0 to 1."""
        return 1 - self.received / self.sent if self.sent else math.nan


def parse_ping(text: str, target: IPv4Address) -> PingRun:
    """Read the output of `ping -D -n`; KubinetError when there is no summary (ping did not end by itself)."""
    replies: dict[int, EchoReply] = {}
    duplicates = 0
    resolution_ms = 0.0
    summary: re.Match[str] | None = None
    problems: list[str] = []
    for line in text.splitlines():
        if reply := _REPLY.match(line):
            sequence = int(reply["sequence"])
            if reply["duplicate"] or sequence in replies:
                duplicates += 1
                continue
            resolution_ms = max(resolution_ms, 10.0 ** -len(reply["decimals"] or ""))
            replies[sequence] = EchoReply(sequence, float(reply["time"]), float(reply["rtt"]), int(reply["ttl"]))
        elif match := _SUMMARY.match(line):
            summary = match
        elif _PROBLEM.match(line):
            problems.append(line.strip())
    if summary is None:
        said = f"; it said: {problems[-1]}" if problems else ""
        raise KubinetError(f"ping {target}: no summary in its output, so it did not run to its end{said}")
    ordered = tuple(replies[sequence] for sequence in sorted(replies))
    return PingRun(target, int(summary["sent"]), int(summary["received"]), duplicates, ordered, resolution_ms)


def ping_command(target: IPv4Address, *, count: int, interval_s: float, payload_bytes: int, wait_s: float) -> list[str]:
    """The argument list: `count` requests, one every `interval_s`, at most `wait_s` for the last reply."""
    return [
        *("ping", "-D", "-n", "-c", str(count), "-i", f"{interval_s:g}"),
        *("-s", str(payload_bytes), "-W", f"{wait_s:g}", str(target)),
    ]


def ping(
    source: Target,
    target: IPv4Address,
    *,
    count: int,
    interval_s: float = 0.01,
    payload_bytes: int = 56,
    wait_s: float = 2.0,
) -> tuple[PingRun, str]:
    """Ping `target` from `source`; returns the run and ping's own output.

    Raises KubinetError naming both ends when no reply came at all: that is a broken path, not a slow one.
    """
    argv = ping_command(target, count=count, interval_s=interval_s, payload_bytes=payload_bytes, wait_s=wait_s)
    result = source.exec(argv, timeout=count * interval_s + wait_s + 30, check=False)
    text = result.stdout.decode(errors="replace")
    # 1: fewer replies than requests, which is a measurement; 2 and above: ping itself failed.
    if result.exit_code not in (0, 1):
        said = (result.stderr.decode(errors="replace") or text).strip() or "nothing"
        raise KubinetError(f"{source.name}: ping {target} ended with status {result.exit_code}; it said: {said}")
    run = parse_ping(text, target)
    if not run.replies:
        raise KubinetError(
            f"{source.name}: none of {run.sent} pings to {target} was answered; "
            "look with `kubinet capture` where they are lost"
        )
    return run, text
