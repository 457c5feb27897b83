"""One call around a run: links measured before, everything watched meanwhile, links measured after, a verdict.

with RunWatch(cluster, folder.second) as watch:
    …                                   # warm-up, workload, timeline
    watch.excuse("link leaf1-spine1")   # what the timeline changes on purpose is not held against the run
watch.assessment, watch.links, watch.seconds
"""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from experiments.base import RunningCluster
from experiments.records import Assessment, LinkCheck, MachineSecond, Verdict
from experiments.validity.control import assess_answers, assess_controller, assess_switches
from experiments.validity.counters import Plan, Sample, from_json
from experiments.validity.limits import DEFAULT_LIMITS, Limits
from experiments.validity.machine import assess_clock_source, assess_links, assess_machine
from experiments.validity.monitor import MachineMonitor
from experiments.validity.plane import PlaneWatch
from experiments.validity.queues import assess_queues, directions, loss_checks
from experiments.validity.underlay import link_ends, measure_again, spread
from kubinet.cluster import Cluster
from topologies.document import parse_topology, spell
from topologies.model import Topology

CONTROLLER: Final = "controller"
"""What `excuse` calls the controller; a link is `link NAME`, a node's Open vSwitch `switch NODE`, and `flows NODE` a
node whose flows may be behind: the controller cannot reach it."""
_PERIOD_S: Final = 0.2
_ATTEMPTS: Final = 3
_END_S: Final = 30.0


class RunWatch:
    """A context manager around one run; what it found is there after leaving."""

    def __init__(
        self,
        cluster: RunningCluster,
        record: Callable[[MachineSecond], None] | None = None,
        *,
        rated_links: int = 4,
        measured_links: int = 16,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """`record` gets each second from another thread.

        `rated_links`: how many links are loaded before and after the run to measure their rate, half a second each;
        `measured_links`: how many are measured without load, together. Both are taken evenly from all links; 0: none.
        """
        self._cluster = cluster
        self._record = record
        self._limits = limits
        document = cluster.topology
        self._topology: Topology = parse_topology(document, lambda path: f"topology: {spell(path)}")
        names = [link.name for link in self._topology.links]
        self._rated = spread([link.name for link in self._topology.links if link.rate is not None], rated_links)
        self._measured = spread(names, measured_links)
        self._excused: set[str] = set()
        self._stack = ExitStack()
        self._counters: _CountersWatch | None = None
        self._plane: PlaneWatch | None = None
        self._clock = ""
        self.seconds: list[MachineSecond] = []
        """The machine, second by second."""
        self.links: tuple[LinkCheck, ...] = ()
        """Links as measured before and after, and their losses during the run."""
        self.assessment = Assessment(Verdict.SUSPECT, ("the run has not ended",))

    @property
    def samples(self) -> Sequence[Sample]:
        """The counters of links and switches, sample by sample."""
        return self._counters.samples if self._counters is not None else ()

    def excuse(self, subject: str) -> None:
        """Whatever happens to this in the run is meant: `link NAME`, `switch NODE`, `flows NODE` or `controller`."""
        self._excused.add(subject)

    def __enter__(self) -> Self:
        names = tuple(dict.fromkeys((*self._rated, *self._measured)))
        self.links = measure_again(self._cluster, names, load=self._rated, moment="before", attempts=_ATTEMPTS)
        self._clock = _clock_source()
        with ExitStack() as stack:
            self._counters = stack.enter_context(_CountersWatch(self._cluster, self._topology))
            if isinstance(self._cluster, Cluster):
                self._plane = stack.enter_context(PlaneWatch(self._cluster))
            stack.enter_context(MachineMonitor(self._second))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
        if error is not None:
            return
        left = [name for name in dict.fromkeys((*self._rated, *self._measured)) if not self._is_excused(name)]
        self.links += measure_again(self._cluster, left, load=self._rated, moment="after", attempts=_ATTEMPTS)
        self.assessment = self._assess()

    def _second(self, second: MachineSecond) -> None:
        self.seconds.append(second)
        if self._record is not None:
            self._record(second)

    def _is_excused(self, link: str) -> bool:
        return f"link {link}" in self._excused

    def _assess(self) -> Assessment:
        found = assess_machine(self.seconds, self._limits).merged(assess_clock_source(self._clock, _clock_source()))
        samples = self.samples
        if len(samples) < 2:
            found = found.merged(Assessment(Verdict.SUSPECT, ("the links' and switches' counters were not watched",)))
        else:
            found = found.merged(self._assess_samples(samples))
        if self._plane is not None and CONTROLLER not in self._excused:
            cut = {node.name for node in self._topology.nodes if f"flows {node.name}" in self._excused}
            found = found.merged(assess_controller(self._plane.states, self._limits, excused=cut))
            answers = [answer for sample in samples for answer in sample.answers]
            unasked = next((sample.unasked for sample in samples if sample.unasked), "")
            found = found.merged(assess_answers(answers, self._limits, unasked=unasked))
        judged = [check for check in self.links if check.moment != "during" or not self._is_excused(check.name)]
        return found.merged(assess_links(judged, self._limits))

    def _assess_samples(self, samples: Sequence[Sample]) -> Assessment:
        links = [link for link in self._topology.links if not self._is_excused(link.name)]
        watched = directions(links, self._topology.network.underlay_mtu, samples)
        self.links += loss_checks(watched, self._limits)
        first, last = samples[0], samples[-1]
        ends = [sample.ends[key].ended_s for sample in (first, last) for key in list(sample.ends)[:1]]
        switches = {
            node: counters for node, counters in first.switches.items() if f"switch {node}" not in self._excused
        }
        span = ends[-1] - ends[0] if ends else 0.0
        return assess_queues(watched, self._limits).merged(assess_switches(switches, last.switches, span, self._limits))


class _CountersWatch:
    """The program `experiments.validity.counters` inside the sandbox, and what it said."""

    def __init__(self, cluster: RunningCluster, topology: Topology) -> None:
        self._cluster = cluster
        self._nodes = tuple(node.name for node in topology.nodes)
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self.samples: list[Sample] = []

    def __enter__(self) -> Self:
        plan = Plan(link_ends(self._cluster), self._nodes, _PERIOD_S)
        beside = self._cluster.node(self._nodes[0])
        argv = [sys.executable, "-m", "experiments.validity.counters"]
        process = self._process = beside.popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        # A program that cannot read the counters ends at once: then there are no samples, which the verdict says.
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(asdict(plan)).encode() + b"\n")
            process.stdin.flush()
        # Two samples: what is sent between them may be on the wires when the run begins.
        for _ in range(2):
            if line := process.stdout.readline():
                self.samples.append(from_json(line.decode()))
        self._thread = threading.Thread(target=self._read, args=(process,), name="counters", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._thread is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join()
        self._process.stdout.close()

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.samples.append(from_json(line.decode()))


def _clock_source() -> str:
    try:
        return Path("/sys/devices/system/clocksource/clocksource0/current_clocksource").read_text().strip()
    except OSError:
        return ""
