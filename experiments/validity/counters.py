"""What a run's links and switches count, as values; and the program that reads them inside the sandbox.

`python -m experiments.validity.counters` reads one JSON line (a `Plan`) from its standard input, prints a sample as a
line every `period_s`, and ends with its input after a last sample, which has the switches' counters as the first has.
"""

import json
import select
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from agents.ovsrpc import Appctl
from agents.watching.ovs import lost_on_slow_path
from experiments.validity.answers import Answer, Asking
from experiments.validity.rtnetlink import CounterReader, PortCounters, QueueState
from kubinet.errors import KubinetError
from kubinet.netns import of_process

_OWN_SHARE: Final = 0.02
"""Share of a CPU that reading may take; large clusters are read less often."""
NODES_DIR: Final = Path("/run/kubinet/nodes")


@dataclass(frozen=True, slots=True)
class EndPlan:
    """One end of a link: where its counters are."""

    key: str
    """`LINK VERTEX`."""
    pid: int
    interface: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read."""

    ends: tuple[EndPlan, ...]
    nodes: tuple[str, ...]
    period_s: float


@dataclass(frozen=True, slots=True)
class EndSample:
    """One end at one moment."""

    began_s: float
    """CLOCK_MONOTONIC before the counters were read."""
    ended_s: float
    """And after: they are from some moment in between."""
    port: PortCounters
    queue: QueueState


@dataclass(frozen=True, slots=True)
class SwitchCounters:
    """A node's Open vSwitch datapath, since it was made."""

    pid: int
    """Of ovs-vswitchd: another one counts from zero."""
    hit: int
    """Packets that a cached flow handled."""
    missed: int
    """Packets that took the slow path (upcalls)."""
    lost: int
    """Packets dropped on the slow path."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Every end, the controller's answers, and at both ends of a run every switch."""

    ends: Mapping[str, EndSample]
    switches: Mapping[str, SwitchCounters] = field(default_factory=dict)
    answers: tuple[Answer, ...] = ()
    """The controller's since the sample before."""
    unasked: str = ""
    """Why the controller is not asked any more; empty while it is."""


def to_json(sample: Sample) -> str:
    """One line."""
    return json.dumps(asdict(sample))


def from_json(line: str) -> Sample:
    """Read what `to_json` wrote."""
    said: dict[str, Any] = json.loads(line)
    return Sample(
        {
            key: EndSample(end["began_s"], end["ended_s"], PortCounters(**end["port"]), QueueState(**end["queue"]))
            for key, end in said["ends"].items()
        },
        {name: SwitchCounters(**counters) for name, counters in said["switches"].items()},
        tuple(Answer(**answer) for answer in said["answers"]),
        said["unasked"],
    )


def plan_from_json(line: str) -> Plan:
    """Read a plan that was written with `json.dumps(asdict(plan))`."""
    said = json.loads(line)
    return Plan(tuple(EndPlan(**end) for end in said["ends"]), tuple(said["nodes"]), said["period_s"])


def parse_switch(pid: int, shown: str, coverage: str) -> SwitchCounters:
    """Read `dpctl/show`, the sum of all datapaths' lines `lookups: hit:1 missed:2 lost:3`, and `coverage/show`."""
    found = {"hit": 0, "missed": 0}
    for line in shown.splitlines():
        name, _, rest = line.strip().partition(": ")
        if name == "lookups":
            for part in rest.split():
                key, _, value = part.partition(":")
                if key in found:
                    found[key] += int(value)
    return SwitchCounters(pid, **found, lost=lost_on_slow_path(shown, coverage))


def read_switch(node: str) -> SwitchCounters | None:
    """A node's counters; None while its switch does not answer."""
    try:
        pid = int((NODES_DIR / node / "ovs-vswitchd.pid").read_text())
        with Appctl(NODES_DIR / node / f"ovs-vswitchd.{pid}.ctl") as appctl:
            return parse_switch(pid, appctl("dpctl/show"), appctl("coverage/show"))
    except (KubinetError, OSError, ValueError):
        return None


class _Reader:
    """Keeps a socket for each network namespace."""

    def __init__(self, plan: Plan, stack: ExitStack) -> None:
        self._plan = plan
        self._asking = stack.enter_context(Asking())
        self._readers = {
            pid: stack.enter_context(CounterReader(of_process(pid))) for pid in {end.pid for end in plan.ends}
        }

    def sample(self, *, switches: bool, last: bool = False) -> Sample:
        """Read everything but ends that are gone. `last`: also how long the controller has not answered yet."""
        found = {}
        for end in self._plan.ends:
            reader = self._readers[end.pid]
            began = time.monotonic()
            try:
                port, queue = reader.port(end.interface), reader.queue(end.interface)
            except KubinetError:
                continue
            found[end.key] = EndSample(began, time.monotonic(), port, queue)
        read = {node: read_switch(node) for node in self._plan.nodes} if switches else {}
        counted = {node: counters for node, counters in read.items() if counters is not None}
        return Sample(found, counted, self._asking.take(last=last), self._asking.failure)


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is for the program that started this one
    plan = plan_from_json(sys.stdin.readline())
    with ExitStack() as stack:
        reader = _Reader(plan, stack)
        print(to_json(reader.sample(switches=True)), flush=True)
        period = plan.period_s
        while not select.select([sys.stdin], [], [], period)[0]:
            began = time.thread_time()
            print(to_json(reader.sample(switches=False)), flush=True)
            period = max(plan.period_s, (time.thread_time() - began) / _OWN_SHARE)
        # What is on the wires now has time to arrive before the last look.
        print(to_json(reader.sample(switches=False)), flush=True)
        time.sleep(plan.period_s)
        print(to_json(reader.sample(switches=True, last=True)), flush=True)


if __name__ == "__main__":
    _main()
