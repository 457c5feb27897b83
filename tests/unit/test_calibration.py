"""Searching what a machine can do, keeping it, and comparing with what an experiment asks."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.calibration.beyond import Beyond, beyond
from experiments.calibration.demand import Demand
from experiments.calibration.machine import state_folder
from experiments.calibration.search import Found, highest
from experiments.calibration.values import Calibration, Capacity, Fingerprint, load, save
from experiments.engine.api import check_capacity, prepare
from kubinet.errors import InvalidInputError, MissingCapabilityError
from kubinet.state import NetworkConfig
from topologies.model import Link, Role, Topology, Vertex

MACHINE = Fingerprint("a processor", 4, 16000, "6.1", "netdev", "wirefilter")


def _capacity(name: str, unit: str, value: float, failed: float | None = 1e9, reason: str = "no idle CPU") -> Capacity:
    return Capacity(name, unit, value, failed, reason, "")


CALIBRATION = Calibration(
    MACHINE,
    "2026-11-26T03:00:00+00:00",
    quick=False,
    seconds=200.0,
    load=0.1,
    capacities=(
        _capacity("rate", "Mbit/s", 200),
        _capacity("packets", "packets/s", 10_000),
        _capacity("nodes", "nodes", 8),
        _capacity("delayed links", "links", 4),
    ),
)


def _topology(nodes: int, links: int = 0, **quantities: float) -> Topology:
    vertices = tuple(Vertex(f"n{number}", Role.NODE) for number in range(nodes))
    made = tuple(Link(f"l{number}", "n0", "n1", **quantities) for number in range(links))  # type: ignore[arg-type]
    return Topology("t", NetworkConfig(), "auto", vertices, made)


def _asked(topology: Topology, *demands: Demand) -> Beyond:
    return beyond(topology, demands, CALIBRATION, MACHINE)


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=20, unique=True).map(sorted),
    st.integers(0, 1001),
)
def test_the_search_finds_the_highest_level_that_holds(ladder: list[int], limit: int) -> None:
    """Whatever the ladder: the last level up to the limit, and the first beyond it."""
    tried: list[float] = []

    def trial(level: float) -> str:
        tried.append(level)
        return "" if level <= limit else f"{level:g} is too much"

    found = highest(ladder, trial, lambda: True, attempts=1)
    assert found.value == max((level for level in ladder if level <= limit), default=0)
    assert found.failed == min((level for level in ladder if level > limit), default=None)
    assert len(tried) <= 2 * len(ladder).bit_length() + 1


def test_a_level_that_failed_by_chance_is_tried_again() -> None:
    """One failure of two attempts is no failure; the reason is that of the level that failed twice."""
    said = iter(["noise", "", "off", "still off"])
    assert highest([5, 6], lambda _: next(said), lambda: True) == Found(5, 6, "still off")


def test_a_search_without_time_tells_what_it_knows() -> None:
    """After two trials the time is over: the second level held, nothing failed."""
    left = iter([True, True, False])
    assert highest([1, 2, 4, 8], lambda _: "", lambda: next(left)) == Found(2, None, "the time for trying was over")


def test_a_calibration_is_kept_in_the_state_folder(tmp_path: Path) -> None:
    """What is saved is read back; without a file there is none."""
    assert load(tmp_path) is None
    save(tmp_path / "state", CALIBRATION)
    assert load(tmp_path / "state") == CALIBRATION


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "run `kubinet calibrate` again"),
        ("{}", "no calibration"),
        (json.dumps({"format": 9}), "format 9, this version reads 1"),
    ],
)
def test_a_broken_calibration_names_its_file_and_the_remedy(tmp_path: Path, text: str, words: str) -> None:
    """A cut file, another document, another version's format."""
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(InvalidInputError, match=words) as caught:
        load(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_what_is_within_the_calibration_says_nothing() -> None:
    """8 nodes, 4 delayed links of 200 Mbit/s, 200 Mbit/s and 10,000 packets/s offered one after the other."""
    topology = _topology(8, links=4, rate=200e6, delay=0.01)
    assert _asked(topology, Demand("bulk", mbit=200), Demand("calls", 10_000)) == Beyond()


@pytest.mark.parametrize(
    ("topology", "demands", "warning"),
    [
        (_topology(9), (), "the topology has 9 nodes; this machine emulates 8 nodes honestly (no idle CPU)"),
        (
            _topology(2, links=5, rate=1e6, loss=0.01),
            (),
            "5 links have delay, jitter or loss; this machine emulates 4 links honestly (no idle CPU)",
        ),
        (
            _topology(2, links=4, rate=1e9),
            (),
            "links l0, l1, l2 and 1 more declare up to 1000 Mbit/s; this machine carries 200 Mbit/s honestly: "
            "a run that fills them will be suspect",
        ),
        (
            _topology(2),
            (Demand("a, b", mbit=250, adapting_mbit=500),),
            "workload a, b offers 250 Mbit/s; this machine emulates 200 Mbit/s honestly (no idle CPU)",
        ),
        (
            _topology(2),
            (Demand("calls", 12_000),),
            "workload calls offers 12000 packets/s; this machine emulates 10000 packets/s honestly (no idle CPU)",
        ),
        (
            _topology(2),
            (Demand("bulk", mbit=50, adapting_mbit=600),),
            "workload bulk fills links with 650 Mbit/s in all; this machine emulates 200 Mbit/s honestly (no idle CPU)",
        ),
    ],
)
def test_what_is_beyond_the_calibration_is_warned_about(
    topology: Topology, demands: tuple[Demand, ...], warning: str
) -> None:
    """Nodes, links with delay, fast links, and what workloads of one step offer together."""
    assert _asked(topology, *demands) == Beyond((warning,))


def test_more_than_twice_what_was_calibrated_is_refused() -> None:
    """17 nodes where 8 are honest; where nothing failed up to 8, it is a warning only."""
    words = "the topology has 17 nodes; this machine emulates 8 nodes honestly (no idle CPU)"
    assert _asked(_topology(17)) == Beyond(refusals=(words,))
    untried = replace(CALIBRATION, capacities=(_capacity("nodes", "nodes", 8, None, ""),))
    assert beyond(_topology(17), (), untried, MACHINE) == Beyond(
        ("the topology has 17 nodes; this machine emulates 8 nodes honestly",)
    )
    assert beyond(_topology(12), (), untried, MACHINE) == Beyond(
        ("the topology has 12 nodes; 8 nodes is the most that was tried",)
    )


def test_a_calibration_of_nothing_compares_nothing() -> None:
    """A machine that was busy has capacities of 0: they say nothing about an experiment."""
    busy = replace(CALIBRATION, capacities=(_capacity("nodes", "nodes", 0, 2),))
    assert beyond(_topology(4), (), busy, MACHINE) == Beyond()


def test_another_machines_calibration_is_not_used() -> None:
    """A machine that has lost half of its CPUs is told so and asked to calibrate again."""
    here = replace(MACHINE, cpus=2)
    words = "the calibration is of another machine (here: cpus 2 instead of 4); run `kubinet calibrate` again"
    assert beyond(_topology(99), (), CALIBRATION, here) == Beyond((words,))


SCALE = """
apiVersion: kubinet.dev/v1
kind: Experiment
metadata: {name: scale}
spec:
  question: "?"
  topology: {preset: star, set: {rate: ""}}
  factors:
  - {name: nodes, sets: topology.nodes, levels: [4, 12, 40]}
  workload: [{name: rest, kind: idle, seconds: 1}]
  expect: {runSeconds: 1}
  quick: {repetitions: 1}
"""


@pytest.fixture
def calibrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment's file, on a machine that emulates eight nodes honestly."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("experiments.calibration.experiment.fingerprint", lambda: MACHINE)
    save(state_folder(), CALIBRATION)
    path = tmp_path / "scale.yaml"
    path.write_text(SCALE)
    return path


def test_an_experiment_is_compared_level_by_level(calibrated: Path) -> None:
    """Twelve nodes are warned about; forty are refused before anything runs, unless the user wants them anyway."""
    prepared = prepare(calibrated)
    assert [words.partition(";")[0] for words in prepared.beyond.warnings] == ["the topology has 12 nodes"]
    assert [words.partition(";")[0] for words in prepared.beyond.refusals] == ["the topology has 40 nodes"]
    with pytest.raises(MissingCapabilityError, match=r"^experiment 'scale': the topology has 40 nodes; ") as caught:
        check_capacity(prepared)
    assert str(caught.value).endswith(
        "; such runs would not be valid: leave those levels out with --set FACTOR=LEVELS (from Python: levels), take "
        "another machine, or run it all the same with --anyway (from Python: anyway=True)"
    )
    check_capacity(prepare(calibrated, levels={"nodes": ["4", "12"]}))
    with pytest.raises(MissingCapabilityError, match="would not be valid: make it smaller, take another machine"):
        check_capacity(prepare(calibrated, levels={"nodes": ["40"]}))


def test_a_machine_without_a_calibration_is_told_so(calibrated: Path) -> None:
    """And nothing is refused."""
    (state_folder() / "calibration.json").unlink()
    beyond_it = prepare(calibrated).beyond
    assert beyond_it.refusals == ()
    assert [words.partition(";")[0] for words in beyond_it.warnings] == ["this machine is not calibrated"]


def test_more_load_than_twice_what_was_calibrated_is_refused() -> None:
    """Packets and a rate that the workloads set themselves; TCP that would fill as much is only warned about."""
    packets = "workload calls offers 20000.5 packets/s; this machine emulates 10000 packets/s honestly (no idle CPU)"
    rate = "workload bulk offers 1234567 Mbit/s; this machine emulates 200 Mbit/s honestly (no idle CPU)"
    demands = Demand("calls", 20_000.5), Demand("bulk", mbit=1_234_567), Demand("tcp", adapting_mbit=1000)
    found = _asked(_topology(2), *demands)
    assert found.refusals == (packets, rate)
    assert [words.partition(";")[0] for words in found.warnings] == ["workload tcp fills links with 1000 Mbit/s in all"]


LOADED = """
apiVersion: kubinet.dev/v1
kind: Experiment
metadata: {name: loaded}
spec:
  question: "?"
  topology: {preset: star, nodes: 2, set: {rate: 150mbit}}
  manifests:
  - name: pods
    inline: |
      {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {nodeName: n1, containers: [{name: c, image: pause}]}}
      ---
      {apiVersion: v1, kind: Pod, metadata: {name: b}, spec: {nodeName: n2, containers: [{name: c, image: pause}]}}
  factors:
  - {name: interval, sets: workload.probe.interval_ms, levels: [1, 0.1]}
  workload:
  - together:
    - {name: tcp, kind: iperf3, from: pod/a, to: pod/b, port: 5301}
    - {name: udp, kind: iperf3, from: pod/a, to: pod/b, protocol: udp, rate: 50mbit, length: 1000, streams: 2}
    - {name: probe, kind: probe-stream, from: pod/a, to: pod/b}
  expect: {runSeconds: 1}
  quick: {repetitions: 1}
"""


def test_an_experiments_workloads_are_added_up(calibrated: Path) -> None:
    """TCP fills the way's 150 Mbit/s beside 100 of UDP; 12,500 datagrams a second and 1,000 or 10,000 probes."""
    calibrated.write_text(LOADED)
    found = prepare(calibrated, output_dir=calibrated.parent).beyond
    assert [words.partition(";")[0] for words in found.warnings] == [
        "workload tcp, udp, probe fills links with 250.5 Mbit/s in all",
        "workload tcp, udp, probe offers 13500 packets/s",
        "workload tcp, udp, probe fills links with 255.1 Mbit/s in all",
    ]
    assert [words.partition(";")[0] for words in found.refusals] == ["workload tcp, udp, probe offers 22500 packets/s"]
