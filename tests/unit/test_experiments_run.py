"""An experiment from start to report, on a cluster that only plays one."""

import csv
import html.parser
import json
import random
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from playedexperiments import play, run_record
from ruamel.yaml import YAML

from experiments import find_experiment, list_experiments
from experiments.pod_latency.plan import manifests, placements, run_order
from experiments.registry import load_implementation, summary_of
from experiments.topology import underlay_of
from kubinet.cli.main import run as kubinet
from kubinet.errors import KubinetError, UsageError
from kubinet.streams import ExecResult

pytestmark = pytest.mark.slow

QUICK = {"pings": 20, "warmup_pings": 1, "tcp_seconds": 1}


def leaf_spine(nodes: int = 4, racks: int = 2) -> dict[str, Any]:
    """A resolved leaf-spine Topology: 100 Mbit/s and 1 ms from node to leaf, 2 ms from leaf to spine."""
    names = [f"n{number}" for number in range(1, nodes + 1)]
    leaves = [f"leaf{number}" for number in range(1, racks + 1)]
    return {
        "apiVersion": "kubinet.dev/v1",
        "kind": "Topology",
        "metadata": {"name": "leaf-spine"},
        "spec": {
            "network": {"overlay": "vxlan"},
            "nodes": [{"name": name} for name in names],
            "routers": [{"name": name} for name in (*leaves, "spine1")],
            "links": [
                *(
                    {"endpoints": [name, leaves[index % racks]], "rate": "100mbit", "delay": "1ms"}
                    for index, name in enumerate(names)
                ),
                *({"endpoints": [leaf, "spine1"], "rate": "1gbit", "delay": "2ms"} for leaf in leaves),
            ],
        },
    }


@dataclass
class Place:
    """A pod or node that answers ping, cat and iperf3 as the real programs do."""

    name: str
    address: IPv4Address
    node: str
    cluster: "FakeCluster"

    def exec(self, argv: Sequence[str], *, timeout: float | None = 60.0, check: bool = True) -> ExecResult:
        self.cluster.commands.append((self.name, tuple(argv)))
        self.cluster.before_exec(argv)
        if argv[0] == "nsenter":  # an end of the underlay's twin
            argv = argv[3:]
        answer = {"ping": self._ping, "iperf3": self._iperf}[argv[0]](list(argv))
        return ExecResult(0, answer.encode(), b"")

    def popen(self, argv: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
        says = "Server listening on 5201"
        if "experiments.twin" in argv:
            _, source, target = json.loads(argv[-1])
            ends = {node: {"address": str(self.cluster.wire(node)), "pid": 7} for node in (source, target)}
            says = json.dumps(ends)
        server = subprocess.Popen(["sh", "-c", 'echo "$0"; exec cat', says], **options)
        self.cluster.servers.append(server)
        return server

    def wait_log(self, text: str, *, timeout: float = 15.0) -> str:
        self.cluster.awaited.append((self.name, text))
        return text

    def _ping(self, argv: list[str]) -> str:
        target, count = argv[-1], int(argv[argv.index("-c") + 1])
        rtt = self.cluster.rtt_ms(self, IPv4Address(target))
        replies = [
            f"[{1000 + number}.5] 64 bytes from {target}: icmp_seq={number} ttl=64"
            f" time={rtt + self.cluster.dice.expovariate(20):.3f} ms"
            for number in range(1, count + 1)
        ]
        return "\n".join([*replies, f"{count} packets transmitted, {count} received, 0% packet loss, time 1ms"])

    def _iperf(self, argv: list[str]) -> str:
        rate = (95.0 if self.name in self.cluster.nodes else 92.0) * 1e6 + self.cluster.dice.gauss(0, 2e5)
        total = {"bits_per_second": rate, "retransmits": 3, "start": 0, "end": 0.5, "omitted": False}
        return json.dumps(
            {
                "start": {
                    "timestamp": {"timesecs": 1000},
                    "tcp_mss_default": 1398,
                    "test_start": {"num_streams": 1},
                },
                "intervals": [{"sum": total}],
                "end": {
                    "sum_sent": total,
                    "sum_received": total,
                    "cpu_utilization_percent": {"host_total": 1, "remote_total": 1},
                },
            }
        )


@dataclass
class FakeCluster:
    """Plays `kubinet.cluster.Cluster`: the overlay costs 0.4 ms and 3 Mbit/s."""

    topology: Mapping[str, Any] = field(default_factory=leaf_spine)
    before_exec: Callable[[Sequence[str]], None] = lambda argv: None
    timings: Mapping[str, float] = field(default_factory=lambda: {"underlay": 1.25})
    name: str = "played"
    commands: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    awaited: list[tuple[str, str]] = field(default_factory=list)
    servers: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    objects: list[dict[str, Any]] = field(default_factory=list)
    dice: random.Random = field(default_factory=lambda: random.Random(5))

    @property
    def nodes(self) -> list[str]:
        return [node["name"] for node in self.topology["spec"]["nodes"]]

    def run(self, argv: Sequence[str], *, timeout: float | None = 60.0, check: bool = True) -> ExecResult:
        links = underlay_of(self.topology).links
        if argv[0] != "nsenter":
            described = [
                {
                    "name": link.name,
                    "ends": [
                        {"vertex": link.a, "pid": 10 + index, "address": ""},
                        {"vertex": link.b, "pid": 50 + index, "address": f"172.19.{index}.2/24" * (index != 0)},
                    ],
                }
                for index, link in enumerate(links)
            ]
            return ExecResult(0, json.dumps(described).encode(), b"")
        link = links[int(argv[1].split("/")[2]) % 10]
        reply = f"icmp_seq=2 ttl=64 time={2 * link.delay_ms + 0.3:.3f} ms"
        text = f"[1.5] 64 bytes from {argv[-1]}: {reply}\n20 packets transmitted, 20 received, 0% packet loss"
        return ExecResult(0, text.encode(), b"")

    def apply(self, source: str | Path) -> object:
        self.objects = [dict(document) for document in YAML(typ="safe", pure=True).load_all(source)]
        return None

    def delete(self, source: str | Path) -> object:
        self.objects = []
        return None

    def wait_realised(self, timeout: float = 60.0) -> None:
        """At once."""

    def wait(
        self, kind: str, name: str, condition: str = "Ready", *, namespace: str | None = None, timeout: float = 60.0
    ) -> object:
        return self.pod(name, namespace or "default")

    def pod(self, name: str, namespace: str = "default") -> Place:
        for index, document in enumerate(self.objects):
            if document["metadata"] == {**document["metadata"], "name": name, "namespace": namespace}:
                node = document["spec"]["nodeName"]
                return Place(name, IPv4Address(f"10.244.{self.nodes.index(node) + 1}.{index + 1}"), node, self)
        raise KubinetError(f"pod '{namespace}/{name}' does not exist")

    def node(self, name: str) -> Place:
        return Place(name, IPv4Address(f"172.18.0.{self.nodes.index(name) + 1}"), name, self)

    def wire(self, node: str) -> IPv4Address:
        return IPv4Address(f"172.20.0.{self.nodes.index(node) + 1}")

    def rtt_ms(self, source: Place, target: IPv4Address) -> float:
        octets = str(target).split(".")
        pod = octets[0] == "10"
        node = self.nodes[int(octets[2] if pod else octets[3]) - 1]
        own = 0.1 if octets[1] == "20" else 0.6 if pod else 0.2
        return underlay_of(self.topology).path(source.node, node).rtt_ms + own


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, FakeCluster]]:
    """The folder of a finished run with 3 repetitions, and its cluster."""
    cluster = FakeCluster()
    output = tmp_path_factory.mktemp("results")
    done = play("pod-latency", cluster, output, parameters=QUICK, seed=7, repetitions=3)
    yield done.directory, cluster


def test_every_experiment_says_what_it_asks() -> None:
    """Each experiment in Python has a question that ends in a question mark and the name it is registered under."""
    for entry in list_experiments():
        assert summary_of(entry)
        if entry.implementation:
            design = load_implementation(entry.implementation).design()
            assert design.name == entry.name
            assert design.question.endswith("?")


def test_unknown_experiment_names_those_that_exist() -> None:
    """A wrong name is a usage error with the right names."""
    with pytest.raises(UsageError, match=r"experiment 'nope' does not exist; there are: .*pod_latency"):
        find_experiment("nope")


@pytest.mark.parametrize(("typed", "meant"), [("overlay-cots", "overlay-cost"), ("calibrte", "calibrate")])
def test_a_mistyped_experiment_is_guessed(typed: str, meant: str) -> None:
    """The nearest name is proposed, `calibrate` among them, which `kubinet run` takes as well."""
    with pytest.raises(UsageError, match=f"experiment '{typed}' does not exist; did you mean '{meant}'\\? there are: "):
        find_experiment(typed)


def test_run_calibrate_takes_no_options_of_experiments(capsys: pytest.CaptureFixture[str]) -> None:
    """They would be ignored: refused as a wrong command, and nothing is calibrated."""
    for words in (["--reps", "3"], ["--dry-run"], ["--set", "a=1"]):
        assert kubinet(["run", "calibrate", *words]) == 2
        assert "run calibrate is `kubinet calibrate`" in capsys.readouterr().err


def test_file_that_does_not_exist_is_named() -> None:
    """What looks like a file is looked for as one."""
    with pytest.raises(UsageError, match=r"experiment file 'nope\.yaml' does not exist"):
        find_experiment("nope.yaml")


def test_leaf_spine_has_all_three_ways_from_one_client() -> None:
    """Same node, same rack and other rack start at the same node."""
    ways, notes = placements(underlay_of(leaf_spine()), seed=1)
    assert notes == ()
    assert [way.path for way in ways] == ["same node", "same rack", "other rack"]
    assert len({way.source for way in ways}) == 1
    racks = underlay_of(leaf_spine()).racks
    assert [racks[way.source] == racks[way.target] for way in ways] == [True, True, False]


def test_way_that_does_not_exist_is_left_out_and_named() -> None:
    """Two nodes in two racks have no neighbour in their rack; two in one rack have none outside it."""
    ways, notes = placements(underlay_of(leaf_spine(nodes=2)), seed=1)
    assert [way.path for way in ways] == ["same node", "other rack"]
    assert notes == ("row 'same rack' is left out: on this topology no two different nodes share a rack",)
    ways, notes = placements(underlay_of(leaf_spine(nodes=2, racks=1)), seed=1)
    assert [way.path for way in ways] == ["same node", "same rack"]
    assert notes == ("row 'other rack' is left out: on this topology no two different nodes are in different racks",)


def test_one_node_is_refused() -> None:
    """There is nothing to compare on one node."""
    with pytest.raises(KubinetError, match=r"the topology has 1 node.*--nodes 2"):
        placements(underlay_of(leaf_spine(nodes=1)), seed=1)


def test_run_order_is_a_function_of_the_seed() -> None:
    """The same seed gives the same order, another seed another; each has each measurement once."""
    ways, _ = placements(underlay_of(leaf_spine()), seed=1)
    orders = [[str(cell) for cell in run_order(ways, seed)] for seed in (9, 9, 10)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert len(orders[0]) == 14
    assert sorted(orders[0]) == sorted(orders[2])


def test_manifests_put_each_pod_on_its_chosen_node() -> None:
    """Client and servers have nodeName set, and a way that does not exist has no pod."""
    ways, _ = placements(underlay_of(leaf_spine(nodes=2)), seed=1)
    documents = list(YAML(typ="safe", pure=True).load_all(manifests(ways)))
    pods = {document["metadata"]["name"]: document["spec"]["nodeName"] for document in documents[1:]}
    assert documents[0]["kind"] == "Namespace"
    assert pods == {"client": ways[0].source, "same-node": ways[0].source, "other-rack": ways[1].target}


def test_every_sample_is_one_row_with_its_factors(finished: tuple[Path, FakeCluster]) -> None:
    """3 ways between pods and 2 bare and on the wire, 3 repetitions, 20 echoes each: 420 rows of RTT."""
    samples = rows(finished[0] / "runs.csv")
    assert len([row for row in samples if row["metric"] == "rtt"]) == 420
    assert len([row for row in samples if row["metric"] == "throughput"]) == 21
    assert {row["network"] for row in samples} == {"wire", "bare", "pod"}
    assert {row["unit"] for row in samples if row["metric"] == "rtt"} == {"ms"}


def test_overlay_cost_is_found_within_its_interval(finished: tuple[Path, FakeCluster]) -> None:
    """The cluster's overlay costs 0.4 ms: the interval of the difference of medians covers it, for each way."""
    found = {
        row["path"]: row
        for row in rows(finished[0] / "summary.csv")
        if row["statistic"] == "p50 difference" and row["metric"] == "rtt"
    }
    assert set(found) == {"same rack", "other rack"}
    for row in found.values():
        assert float(row["low"]) <= 0.4 <= float(row["high"])
        assert float(row["low"]) > 0.3


def test_declared_values_come_from_the_topology(finished: tuple[Path, FakeCluster]) -> None:
    """Other rack: twice (1 + 2 + 2 + 1) ms; TCP payload in a 100 Mbit/s link: 1448/1514 bare, 1398/1514 with VXLAN."""
    declared = {
        (row["path"], row["network"], row["metric"]): float(row["declared"])
        for row in rows(finished[0] / "summary.csv")
        if row["declared"]
    }
    assert declared["same rack", "pod", "rtt"] == 4.0
    assert declared["other rack", "bare", "rtt"] == 12.0
    assert declared["other rack", "bare", "throughput"] == pytest.approx(100 * 1448 / 1514)
    assert declared["other rack", "pod", "throughput"] == pytest.approx(100 * 1398 / 1514)


def test_results_folder_is_complete(finished: tuple[Path, FakeCluster]) -> None:
    """Everything that another person needs is there, and session.json says that all runs are complete."""
    directory, _ = finished
    files = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    assert {
        *("README.md", "report.html", "runs.csv", "runs.parquet", "summary.csv", "summary.json", "experiment.yaml"),
        *("design.json", "session.json", "versions.json", "machine.json"),
        *("runs/0002/run.json", "runs/0002/raw/manifests.yaml", "runs/0002/topology.yaml"),
        *(f"figures/{name}.{kind}" for name in ("rtt", "throughput") for kind in ("png", "svg", "pdf")),
    } <= files
    session = json.loads((directory / "session.json").read_text())
    assert (session["state"], session["runs"]) == ("complete", {"planned": 3, "complete": 3, "failed": 0})
    assert len([name for name in files if name.startswith("runs/0001/raw/")]) == 14 + 1
    assert run_record(directory, 1)["timings"] == {"underlay": 1.25}


def test_report_is_one_file_without_references_to_others(finished: tuple[Path, FakeCluster]) -> None:
    """The page has its figures inside, loads nothing, and its tags are balanced."""
    text = (finished[0] / "report.html").read_text()
    sources: list[str] = []
    open_tags: list[str] = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            sources.extend(value or "" for name, value in attrs if name in ("src", "href"))
            if tag not in ("meta", "img", "br"):
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Reader().feed(text)
    assert open_tags == []
    assert len(sources) >= 2
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert "<script" not in text


def test_servers_are_gone_afterwards(finished: tuple[Path, FakeCluster]) -> None:
    """A run ends the servers and twins that it started."""
    cluster = finished[1]
    assert len(cluster.servers) == 3 * 6
    assert all(server.returncode == 0 for server in cluster.servers)


def test_way_that_is_left_out_is_noted(tmp_path: Path) -> None:
    """The report says which row is missing and why."""
    done = play("pod_latency", FakeCluster(leaf_spine(nodes=2)), tmp_path, parameters=QUICK, repetitions=1)
    text = (done.directory / "report.md").read_text()
    assert "row 'same rack' is left out: on this topology no two different nodes share a rack" in text


def test_failed_run_keeps_what_was_measured_and_says_so(tmp_path: Path) -> None:
    """When a tool fails in the middle of every attempt, the error is told and the folder has the samples so far."""
    calls: list[Sequence[str]] = []

    def fail_at_fifth(argv: Sequence[str]) -> None:
        calls.append(argv)
        if len(calls) % 5 == 0:
            raise KubinetError("pod 'bench/client' is gone")

    done = play("pod_latency", FakeCluster(before_exec=fail_at_fifth), tmp_path, parameters=QUICK, repetitions=1)
    assert (done.state, done.wanted, done.report) == ("failed", False, None)
    assert done.why == "1 of 1 runs failed twice (0); the last: workload ways: pod 'bench/client' is gone"
    run = done.directory / "runs" / "0000"
    durations = [row for row in rows(run / "samples.csv") if row["metric"].endswith(" duration")]
    assert len(durations) == 4
    assert not (done.directory / "report.html").exists()


@pytest.mark.slow
def test_same_seed_gives_the_same_design(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two experiments with one seed have the same order, nodes and manifests; another seed has another order."""
    monkeypatch.setattr("experiments.results.finish", lambda _: None)  # tables and figures take seconds
    designs = []
    for number, seed in enumerate((3, 3, 4)):
        cluster = FakeCluster()
        done = play("pod_latency", cluster, tmp_path / str(number), parameters=QUICK, seed=seed, repetitions=2)
        manifest = (done.directory / "runs" / "0001" / "raw" / "manifests.yaml").read_text()
        designs.append((cluster.commands, manifest))
    assert designs[0] == designs[1]
    assert designs[0][0] != designs[2][0]


def test_results_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A file where the folder should be is named, with the option that chooses another."""
    (tmp_path / "file").write_text("")
    with pytest.raises(KubinetError, match=r"results folder .*file.*--output-dir"):
        play("pod_latency", FakeCluster(), tmp_path / "file", parameters=QUICK)
