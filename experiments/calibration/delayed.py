"""The trial of links with delay: so many at once, each with traffic, every delay as declared.

`python -m experiments.calibration.delayed` runs inside throw-away namespaces.
"""

import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import Any, Final

from experiments.records import MachineSecond, Verdict
from experiments.throwaway import run_inside
from experiments.validity.machine import assess_machine
from experiments.validity.monitor import MachineMonitor
from topologies.build import Underlay, build
from topologies.links.frames import Arrival, Direction
from topologies.links.measure import DELAY_MARGIN, DELAY_TOLERANCE
from topologies.links.mechanism import FRAME, shaper
from topologies.links.testframes import frames_over
from topologies.links.tools import detect_tools
from topologies.links.wires import LinkEnds
from topologies.resolve import load_topology

RATE_MBIT: Final = 20
DELAY_MS: Final = 10.0
FRAMES_PER_S: Final = 100
"""Full frames per link and second: 1.2 Mbit/s."""
_PATIENCE_S: Final = 60.0


def delayed_links(count: int, seconds: float) -> str:
    """Why `count` links with delay, each with traffic, were not all as declared; empty when they were."""
    found: str = run_inside(__name__, request={"count": count, "seconds": seconds}, timeout_s=seconds + _PATIENCE_S)
    return found


def _tried(underlay: Underlay, seconds: float) -> str:
    with ExitStack() as stack:
        ways = {name: stack.enter_context(_way(ends)) for name, ends in underlay.ends.items() if ends.link.impaired}
        watched: list[MachineSecond] = []
        with MachineMonitor(watched.append):
            arrivals = _loaded(ways, seconds)
    verdict = assess_machine(watched)
    if verdict.verdict is not Verdict.VALID:
        return "; ".join(verdict.reasons)
    for name, way in ways.items():
        if said := _judge(name, arrivals[name], way.sent):
            return said
    return ""


def _judge(name: str, arrivals: list[Arrival], sent: int) -> str:
    if len(arrivals) < sent:
        return f"link {name} lost {sent - len(arrivals)} of {sent} frames, none declared"
    declared = DELAY_MS / 1e3
    delay = statistics.median((one.received - one.sent) / 1e9 for one in arrivals)
    # A full frame also takes its time at the link's rate.
    delay -= FRAME * 8 / (RATE_MBIT * 1e6)
    if abs(delay - declared) > declared * DELAY_TOLERANCE + DELAY_MARGIN:
        return f"link {name}: delay {delay * 1e3:.1f} ms, {DELAY_MS:g} ms declared"
    return ""


def _way(ends: LinkEnds) -> Any:
    bucket = shaper(ends.link, ends.mtu)
    assert bucket is not None
    return frames_over(ends, bucket.limit)


def _loaded(ways: dict[str, Direction], seconds: float) -> dict[str, list[Arrival]]:
    """Send a frame on every link each 1/FRAMES_PER_S seconds; what arrived."""
    found: dict[str, list[Arrival]] = {name: [] for name in ways}
    began = due = time.monotonic()
    while due < began + seconds:
        time.sleep(max(0.0, due - time.monotonic()))
        for name, way in ways.items():
            way.send(FRAME)
            found[name] += way.arrived()
        due += 1 / FRAMES_PER_S
    end = time.monotonic() + 1.0
    while time.monotonic() < end and any(len(found[name]) < way.sent for name, way in ways.items()):
        for name, way in ways.items():
            found[name] += way.arrived()
        time.sleep(0.005)  # nothing tells of many sockets at once more cheaply
    return found


def _main() -> None:
    request = json.loads(sys.stdin.read())
    count = int(request["count"])
    settings = {"nodes": count, "rate": f"{RATE_MBIT}mbit", "delay": f"{DELAY_MS:g}ms"}
    with redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as folder:  # Mininet writes where it likes
        underlay = build(load_topology("star", settings), Path(folder), detect_tools())
        try:
            said = _tried(underlay, float(request["seconds"]))
        finally:
            underlay.close()
    print(json.dumps(said))


if __name__ == "__main__":
    _main()
