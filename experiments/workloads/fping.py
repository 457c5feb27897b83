"""Workload `fping`: round-trip times to many addresses in turn, by one process."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from experiments.base import Holds, Parameter
from experiments.design.model import Settings
from experiments.offered import OfferedLoad, echoes
from experiments.scene import Reading, Scene
from experiments.workloads.common import (
    FROM,
    Pair,
    Plugin,
    check_places,
    file_name,
    names,
    number,
    place,
    switch,
    text,
    whole,
)
from kubinet.errors import KubinetError

_REPLY: Final = re.compile(r"^\[(\d+\.\d+)\] (\S+)\s+: \[(\d+)\], \d+ bytes, ([\d.]+) ms \(")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answered echo request."""

    address: IPv4Address
    sequence: int
    """0 is the first request."""
    time_s: float
    """When the reply arrived, seconds since 1970."""
    rtt_ms: float


def parse_fping(output: str) -> tuple[Reply, ...]:
    """Read `fping -D -C`: the replies in the order of their arrival."""
    found = (_REPLY.match(line) for line in output.splitlines())
    return tuple(Reply(IPv4Address(m[2]), int(m[3]), float(m[1]), float(m[4])) for m in found if m)


class Fping(Plugin):
    """The workload."""

    summary = "ICMP echoes from one place to many addresses by fping: round-trip time of each, losses by target."
    parameters = (
        FROM,
        Parameter("to", "", "", "targets, with commas between: places, services or addresses", holds=Holds.PLACES),
        Parameter("count", 20, 5, "echo requests to each target after the warm-up", 1, 100_000),
        Parameter("period_ms", 20, 20, "time between two requests to one target, ms", 1, 60_000),
        Parameter("spacing_ms", 1, 1, "least time between requests to different targets, ms", 1, 1000),
        Parameter("payload", 56, 56, "payload of a request, bytes", 12, 65507),
        Parameter("warmup", 1, 1, "requests to each target that are sent first and not used", 0, 1000),
        Parameter("timeout_ms", 500, 500, "time after which a request counts as lost, ms", 1, 60_000),
        Parameter("silence", False, False, "true: no reply at all is a result, not an error"),
    )
    required = ("from", "to")
    metrics: Final = {"rtt": "ms", "lost": "packets"}
    programs = ("fping",)

    def check(self, settings: Settings) -> None:
        """`from` is a place."""
        check_places(settings, "from")

    def duration_s(self, settings: Settings) -> float:
        """Rounds times the longer of period and spacing."""
        rounds = whole(settings, "count") + whole(settings, "warmup")
        spread = whole(settings, "spacing_ms") * len(names(settings, "to"))
        return rounds * max(whole(settings, "period_ms"), spread) / 1e3

    def offered(self, settings: Settings) -> OfferedLoad:
        """An echo and its reply of every target each `period_ms`, or `spacing_ms` times targets if that is more."""
        targets = len(names(settings, "to"))
        period_ms = max(whole(settings, "period_ms"), whole(settings, "spacing_ms") * targets)
        return echoes(1e3 * targets / period_ms, whole(settings, "payload"))

    def run(self, scene: Scene, settings: Settings) -> None:
        """One call of fping."""
        source, targets = text(settings, "from"), names(settings, "to")
        addresses = {name: scene.address(name)[0] for name in targets}
        warmup, count = whole(settings, "warmup"), whole(settings, "count")
        argv = [
            *("fping", "-D", "-C", str(count + warmup), "-p", str(whole(settings, "period_ms"))),
            *("-i", str(whole(settings, "spacing_ms")), "-t", str(whole(settings, "timeout_ms"))),
            *("-b", str(whole(settings, "payload")), *map(str, dict.fromkeys(addresses.values()))),
        ]
        seconds = self.duration_s(settings) + number(settings, "timeout_ms") / 1e3
        result = place(scene, source).exec(argv, timeout=seconds * 2 + 30, check=False)
        output = result.stdout.decode(errors="replace")
        # 1: some target did not answer, which is a measurement; 2 and above: fping itself failed.
        if result.exit_code not in (0, 1):
            said = (result.stderr.decode(errors="replace") or output).strip() or "nothing"
            raise KubinetError(f"{source}: fping ended with status {result.exit_code}; it said: {said}")
        scene.raw(file_name("fping", source) + ".txt", output)
        replies = [reply for reply in parse_fping(output) if reply.sequence >= warmup]
        if not replies and not switch(settings, "silence"):
            raise KubinetError(
                f"{source}: none of {', '.join(targets)} answered a ping; where that is expected, set `silence: true`"
            )
        scene.record(_readings(source, addresses, replies, count, warmup, scene.started_s))


def _readings(
    source: str, addresses: Mapping[str, IPv4Address], replies: Sequence[Reply], count: int, warmup: int, at: float
) -> list[Reading]:
    rows: list[Reading] = []
    for name, address in addresses.items():
        pair = Pair(source, name)
        own = [reply for reply in replies if reply.address == address]
        rows += [pair.reading("rtt", one.rtt_ms, "ms", one.time_s, one.sequence - warmup) for one in own]
        rows.append(pair.reading("lost", count - len(own), "packets", at))
    return rows


FPING: Final = Fping()
