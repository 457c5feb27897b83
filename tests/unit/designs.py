"""What tests of experiments' designs share: a whole file, and plug-ins that only say what they take."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from experiments.base import Parameter
from experiments.design.check import Surroundings
from experiments.design.existing import Existing
from experiments.design.model import Settings
from experiments.offered import NOTHING, OfferedLoad
from experiments.scene import Scene
from kubinet.errors import InvalidInputError

GOOD = """\
apiVersion: kubinet.dev/v1
kind: Experiment
metadata: {name: overlay-cost}
spec:
  question: What does the overlay cost?
  topology: {preset: leaf-spine, nodes: 4, set: {network.overlay: vxlan}}
  manifests:
  - name: pods
    inline: |
      apiVersion: v1
      kind: Pod
      metadata: {name: a}
  - name: policies
    repeat: 2
    inline: |
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: {name: p-$(i)}
      spec: {podSelector: {}}
  ready: [Pod/a]
  parameters:
    seconds: {default: 5, quick: 1, meaning: seconds of TCP, minimum: 1}
  factors:
  - name: overlay
    meaning: how packets between nodes are carried
    sets: topology.network.overlay
    levels: [vxlan, geneve, direct]
  - name: load
    levels:
    - {name: idle, value: 0, set: {manifests.policies.repeat: 0}}
    - {name: full, value: 5, set: {manifests.policies.repeat: 3, workload.rtt.count: 50}}
  exclude:
  - {overlay: direct, load: full}
  repetitions: 4
  seed: 7
  warmup: 500ms
  workload:
  - {name: rtt, kind: ping, from: pod/a, to: node/n2, count: 20}
  - together:
    - {name: bulk, kind: iperf3, from: pod/a, to: node/n2, seconds: $(seconds)}
    - {name: back, kind: iperf3, from: node/n2, to: pod/a, seconds: $(seconds)}
  measurements:
  - {name: cpu, kind: processes, every: 1s}
  timeline:
  - "at $(load)s: partition [n1] [n2]"
  expect: {runSeconds: 8, runBytes: 100kB}
  stop:
    maxDuration: 20m
    maxInvalid: 50%
    precision: {metric: rtt, halfWidth: 5%}
  quick: {repetitions: 2, factors: {overlay: [vxlan, direct]}}
  analysis:
  - {metric: rtt, statistics: [p50, p99], by: [overlay], baseline: {overlay: direct}, figure: ecdf}
  - {metric: throughput, figure: line, x: overlay, by: [stream]}
  claims:
  - id: C1
    text: VXLAN is slower than no overlay.
    metric: rtt
    where: {overlay: vxlan, load: idle}
    against: {overlay: direct, load: idle}
    relation: ">"
    tolerance: 5%
  published:
  - {source: "A. Author, A paper, 2020, figure 3", says: the overlay costs 10 %, claims: [C1]}
"""


@dataclass(frozen=True)
class Plugin:
    """A workload and a measurement that only says what it takes."""

    parameters: tuple[Parameter, ...] = ()
    required: tuple[str, ...] = ()
    metrics: Mapping[str, str] = field(default_factory=dict)
    programs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    summary: str = "for tests"

    def check(self, settings: Settings) -> None:
        """Refuse traffic from a place to itself."""
        if settings.get("from", "a") == settings.get("to", "b"):
            raise InvalidInputError(f"from and to are both {settings['from']}; choose two places")

    def duration_s(self, settings: Settings) -> float:
        """The seconds that it is told."""
        return float(settings.get("seconds", 2))

    def offered(self, settings: Settings) -> OfferedLoad:
        """Nothing."""
        return NOTHING

    def run(self, scene: Scene, settings: Settings) -> None:
        """Send nothing."""

    @contextmanager
    def watch(self, scene: Scene, settings: Settings) -> Iterator[None]:
        """Watch nothing."""
        yield


_PAIR = (Parameter("from", "", "", "where it starts"), Parameter("to", "", "", "where it goes"))
PING = Plugin((*_PAIR, Parameter("count", 10, 1, "packets", 1)), ("from", "to"), {"rtt": "s"}, ("ping",))
IPERF = Plugin(
    (*_PAIR, Parameter("seconds", 5.0, 1.0, "seconds")), ("to",), {"throughput": "bit/s"}, ("iperf3",), ("stream",)
)
PROCESSES = Plugin((Parameter("every", "1s", "1s", "time between two looks"),), (), {"cpu": "s"})


def accept_line(line: str, existing: Existing) -> None:
    """Refuse timeline lines that name nodes which the topology does not have."""
    nodes = [node["name"] for node in existing.topology["spec"]["nodes"]]
    if not line.startswith("at "):
        raise ValueError(f"{line!r} does not begin with `at`")
    for word in line.replace("[", " ").replace("]", " ").split():
        if word.startswith("n") and word not in nodes:
            raise InvalidInputError(f"there is no node '{word}'; there are: {', '.join(nodes)}")


def surroundings(
    *, missing: tuple[str, ...] = (), free_bytes: int | None = 10**9, for_this_machine: bool = False
) -> Surroundings:
    """A machine that has everything but the programs `missing`."""
    return Surroundings(
        workloads={"ping": PING, "iperf3": IPERF},
        measurements={"processes": PROCESSES},
        which=lambda program: None if program in missing else f"/usr/bin/{program}",
        check_line=accept_line,
        free_bytes=free_bytes,
        for_this_machine=for_this_machine,
    )
