"""Workload `ping`: round-trip times of ICMP echoes between two places, one sample a reply."""

import time
from typing import Final

from experiments.base import Parameter
from experiments.design.model import Settings
from experiments.measure.ping import parse_ping, ping_command
from experiments.offered import OfferedLoad, echoes
from experiments.scene import Scene
from experiments.workloads.common import FROM, TO, Pair, Plugin, check_places, file_name, number, place, switch, whole
from kubinet.errors import KubinetError


class Ping(Plugin):
    """The workload."""

    summary = "ICMP echoes to one address: time of each round trip (`resolution`: its steps as ping tells it), loss."
    parameters = (
        FROM,
        TO,
        Parameter("count", 100, 20, "echo requests after the warm-up", 1, 1_000_000),
        Parameter("interval_s", 0.01, 0.01, "seconds between two requests", 0.001, 60),
        Parameter("payload", 56, 56, "payload of a request, bytes", 16, 65507),
        Parameter("warmup", 1, 1, "requests that are sent first and not used", 0, 1000),
        Parameter("wait_s", 2.0, 1.0, "seconds that the last reply is waited for", 0.01, 60),
        Parameter("silence", False, False, "true: no reply at all is a result, not an error"),
    )
    required = ("from", "to")
    metrics: Final = {"rtt": "ms", "lost": "packets", "resolution": "ms"}
    programs = ("ping",)

    def check(self, settings: Settings) -> None:
        """`from` is a place."""
        check_places(settings, "from")

    def duration_s(self, settings: Settings) -> float:
        """Requests times interval."""
        return (whole(settings, "count") + whole(settings, "warmup")) * number(settings, "interval_s")

    def offered(self, settings: Settings) -> OfferedLoad:
        """An echo and its reply every `interval_s`."""
        return echoes(1 / number(settings, "interval_s"), whole(settings, "payload"))

    def run(self, scene: Scene, settings: Settings) -> None:
        """One call of ping."""
        source, target = str(settings["from"]), str(settings["to"])
        address, _ = scene.address(target)
        warmup, wait_s = whole(settings, "warmup"), number(settings, "wait_s")
        argv = ping_command(
            address,
            count=whole(settings, "count") + warmup,
            interval_s=number(settings, "interval_s"),
            payload_bytes=whole(settings, "payload"),
            wait_s=wait_s,
        )
        started = time.time()
        result = place(scene, source).exec(argv, timeout=self.duration_s(settings) + wait_s + 30, check=False)
        output = result.stdout.decode(errors="replace")
        # 1: fewer replies than requests, which is a measurement; 2 and above: ping itself failed.
        if result.exit_code not in (0, 1):
            said = (result.stderr.decode(errors="replace") or output).strip() or "nothing"
            raise KubinetError(f"{source}: ping {target} ({address}) ended with {result.exit_code}; it said: {said}")
        scene.raw(file_name("ping", source, target) + ".txt", output)
        run = parse_ping(output, address)
        if not run.replies and not switch(settings, "silence"):
            raise KubinetError(
                f"{source}: none of {run.sent} pings to {target} ({address}) was answered; "
                "where that is expected, set `silence: true`"
            )
        pair = Pair(source, target)
        rows = [
            pair.reading("rtt", reply.rtt_ms, "ms", reply.time_s, reply.sequence - warmup)
            for reply in run.after_warmup(warmup)
        ]
        rows.append(pair.reading("lost", run.sent - warmup - len(rows), "packets", started))
        rows.append(pair.reading("resolution", run.resolution_ms, "ms", started))
        scene.record(rows)


PING: Final = Ping()
