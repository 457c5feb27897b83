"""The experiment service_load_balancing, on a cluster that only plays one."""

import csv
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from playedexperiments import play, run_record
from ruamel.yaml import YAML

from experiments.measure.load import parse_rate, parse_requests, parse_spreads
from experiments.service_load_balancing.experiment import ServiceLoadBalancing
from experiments.service_load_balancing.plan import (
    Design,
    design,
    pod_manifests,
    run_order,
    service_manifests,
    slice_manifests,
)
from experiments.stats import chi_square, mean
from kubinet.errors import KubinetError, UsageError
from kubinet.streams import ExecResult

NAMES = "hash,random,round-robin,least-connections"
SMALL = {"ports": 40, "load_seconds": 2.0, "warmup_seconds": 0.5}


def parameters(**settings: str | float) -> dict[str, Any]:
    return {**ServiceLoadBalancing().design().parameters, **settings}


def made(**settings: str | float) -> Design:
    return design(parameters(**settings))


def load(text: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(text))


@dataclass
class Place:
    """A pod that answers as the real load client does."""

    name: str
    address: IPv4Address
    node: str
    cluster: "FakeCluster"

    def exec(self, argv: Sequence[str], *, timeout: float | None = 60.0, check: bool = True) -> ExecResult:
        mode, text = argv[2], argv[3]
        flags = dict(word.removeprefix("--").split("=") for word in argv[4:])
        targets = [word.partition(":")[0] for word in text.split(",")]
        answer = getattr(self, f"_{mode}")(targets, flags)
        return ExecResult(0, json.dumps(answer).encode(), b"")

    def wait_log(self, text: str, **_: Any) -> str:
        assert self.name.startswith("backend-")
        return f"{text} 8080\n"

    def _connect(self, targets: list[str], flags: Mapping[str, str]) -> object:
        first, count = int(flags["first-port"]), int(flags["ports"])
        return [
            {
                "started": 1000.0,
                "ended": 1001.0,
                "servers": [
                    self.cluster.choose(target, self.name, first + index * count + port) for port in range(count)
                ],
            }
            for index, target in enumerate(targets)
        ]

    def _requests(self, targets: list[str], flags: Mapping[str, str]) -> object:
        interval, seconds = (
            float(flags[name].removesuffix("ms").removesuffix("s")) for name in ("interval", "seconds")
        )
        rows: list[object] = []
        for number in range(int(seconds / (interval / 1000))):
            server = self.cluster.choose(targets[0], self.name, number)
            took = 10.0 if server != "backend-4" else 50.0 if "least" in self.cluster.algorithm(targets[0]) else 900.0
            rows.append([number * interval / 1000, took, self.cluster.late_ms, server, ""])
        return {"started": float(flags["start-at"]), "requests": rows}

    def _rate(self, targets: list[str], flags: Mapping[str, str]) -> object:
        return {"started": 1000.0, "seconds": 2.0, "answered": 4000, "failed": 0, "failures": []}


@dataclass
class FakeCluster:
    """Plays `kubinet.cluster.Cluster`, with Services that choose as the algorithms should."""

    late_ms: float = 0.1
    lost: Callable[[str, int], bool] = lambda client, port: False
    services: str = "sdn"
    timings: Mapping[str, float] = field(default_factory=dict)
    name: str = "played"
    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    version: int = 10
    turns: int = 0
    dice: random.Random = field(default_factory=lambda: random.Random(5))

    @property
    def topology(self) -> Mapping[str, Any]:
        return {
            "apiVersion": "kubinet.dev/v1",
            "kind": "Topology",
            "metadata": {"name": "two"},
            "spec": {
                "network": {"overlay": "vxlan", "services": self.services},
                "nodes": [{"name": "n1"}, {"name": "n2"}],
                "switches": [{"name": "s1"}],
                "links": [{"endpoints": ["n1", "s1"]}, {"endpoints": ["n2", "s1"]}],
            },
        }

    def run(self, argv: Sequence[str], *, timeout: float = 60.0, check: bool = True) -> ExecResult:
        ends = [{"vertex": "n1", "pid": 1, "address": ""}, {"vertex": "s1", "pid": 2, "address": ""}]
        described = [{"name": "n1-s1", "ends": ends}, {"name": "n2-s1", "ends": [{**ends[0], "vertex": "n2"}, ends[1]]}]
        return ExecResult(0, json.dumps(described).encode(), b"")

    def apply(self, source: str | Path) -> list[tuple[dict[str, Any], str]]:
        applied = []
        for obj in load(str(source)):
            self.version += 1
            obj["metadata"]["resourceVersion"] = str(self.version)
            if obj["kind"] == "Service":
                obj["spec"]["clusterIP"] = f"10.96.0.{self.version}"
            self.objects[obj["kind"], obj["metadata"]["name"]] = obj
            applied.append((obj, "created"))
        return applied

    def delete(self, source: str | Path) -> object:
        for obj in load(str(source)):
            del self.objects[obj["kind"], obj["metadata"]["name"]]
        return None

    def wait_realised(self, timeout: float = 60.0) -> None:
        """At once."""

    def wait(self, kind: str, name: str, condition: str = "Ready", **_: Any) -> object:
        return self.objects[kind, name]

    def wait_until(self, kind: str, name: str, holds: Callable[[dict[str, Any] | None], bool], **_: Any) -> object:
        assert (kind, name) == ("Dataplane", "cluster")
        behind = {"status": {"nodes": {"n1": {"endpointGeneration": self.version}, "n2": {"endpointGeneration": 3}}}}
        assert not holds(None)
        assert not holds(behind)
        behind["status"]["nodes"]["n2"]["endpointGeneration"] = self.version
        assert holds(behind)
        return behind

    def pod(self, name: str, namespace: str = "default") -> Place:
        pods = [obj for (kind, _), obj in self.objects.items() if kind == "Pod"]
        (number,) = [index for index, obj in enumerate(pods) if obj["metadata"]["name"] == name]
        return Place(name, IPv4Address(f"10.244.1.{number + 2}"), "n1", self)

    def node(self, name: str) -> Place:
        return Place(name, IPv4Address("172.18.0.1"), name, self)

    def algorithm(self, target: str) -> str:
        (found,) = [
            obj["metadata"]["annotations"]["kubinet.dev/load-balancer"]
            for (kind, _), obj in self.objects.items()
            if kind == "Service" and obj["spec"]["clusterIP"] == target
        ]
        return str(found)

    def choose(self, target: str, client: str, port: int) -> str:
        if self.lost(client, port):
            return ""
        algorithm = self.algorithm(target)
        slice_ = self.objects["EndpointSlice", f"lb-{algorithm}"]
        present = [endpoint["addresses"][0] for endpoint in slice_["endpoints"]]

        def score(*parts: object) -> str:
            return sha256(repr(parts).encode()).hexdigest()

        if algorithm == "hash":
            chosen = max(present, key=lambda address: score(client, port, address))
        elif algorithm == "random":
            chosen = present[int(score(client, port, len(present)), 16) % len(present)]
        elif algorithm == "round-robin":
            self.turns += 1
            chosen = present[self.turns % len(present)]
        else:
            chosen = self.dice.choice(present)
        return f"backend-{int(chosen.rpartition('.')[2]) - 1}"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run(tmp_path: Path, cluster: FakeCluster, repetitions: int = 2, algorithms: str = NAMES) -> Path:
    parameters = {**SMALL, "algorithms": algorithms}
    return play("service-load-balancing", cluster, tmp_path, parameters=parameters, repetitions=repetitions).directory


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FakeCluster]:
    """The folder of a finished run with 2 repetitions, and its cluster."""
    cluster = FakeCluster()
    return run(tmp_path_factory.mktemp("results"), cluster), cluster


def statistics(directory: Path) -> dict[tuple[str, str, str], float]:
    """(algorithm, metric, statistic) to value; the connections' shares by endpoint."""
    return {
        (row["algorithm"], row["metric"], row["statistic"] + row["target"].removeprefix("endpoints")): float(
            row["value"]
        )
        for row in rows(directory / "summary.csv")
    }


def test_distribution_is_compared_with_the_ideal(finished: tuple[Path, FakeCluster]) -> None:
    """Round-robin is exact; hash and random are uniform within chi-square; least-connections is not tested for it."""
    found = statistics(finished[0])
    shares = [found["round-robin", "connections", f"sharebackend-{number}"] for number in range(1, 5)]
    assert shares == [0.25, 0.25, 0.25, 0.25]
    assert found["round-robin", "connections of all", "χ² p-value"] == 1.0
    assert found["hash", "connections of all", "χ² p-value"] > 0.01
    assert ("least-connections", "connections of all", "χ² p-value") not in found


def test_disruption_separates_what_had_to_move(finished: tuple[Path, FakeCluster]) -> None:
    """Highest random weight moves the leaving endpoint's connections and no other; a modulus moves most."""
    found = statistics(finished[0])
    assert found["hash", "disruption", "share moved needlessly"] == 0
    assert found["hash", "disruption", "share moved"] == found["hash", "disruption", "share that had to move"]
    assert 0.2 < found["hash", "disruption", "share moved"] < 0.3
    assert found["random", "disruption", "share moved"] > 0.6


def test_tail_latency_names_the_best_of_those_that_must_find_out(finished: tuple[Path, FakeCluster]) -> None:
    """The finding compares p99; the table has a row for each algorithm."""
    found = statistics(finished[0])
    assert (found["least-connections", "request time", "p99"], found["hash", "request time", "p99"]) == (50.0, 900.0)
    summary = json.loads((finished[0] / "summary.json").read_text())
    assert "least-connections has the lowest p99 of those that must find out which (50 ms;" in summary["finding"]
    assert found["hash", "connection rate", "mean"] == 2000.0


def test_results_are_complete(finished: tuple[Path, FakeCluster]) -> None:
    """Manifests, figures, report and every program's output are kept."""
    directory, _ = finished
    files = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    assert {
        *("report.html", "runs.csv"),
        *(f"runs/0001/raw/{name}.yaml" for name in ("pods", "services", "endpointslices")),
        *("runs/0001/raw/spread-client-1-before.json", "runs/0001/raw/rate-no-Service.json"),
        *(f"figures/{name}.png" for name in ("connections", "requests", "rate")),
    } <= files
    samples = rows(directory / "runs.csv")
    assert len([row for row in samples if row["metric"] == "connection"]) == 2 * 4 * 8 * 40
    assert min(float(row["value"]) for row in samples if row["metric"] == "request time") == 10.0
    assert run_record(directory)["state"] == "complete"


def test_lost_connections_and_late_clients_make_a_row_suspect(tmp_path: Path) -> None:
    """Each reason is named with its numbers."""
    cluster = FakeCluster(
        late_ms=75, lost=lambda client, port: client == "client-2" and port >= 10000 and port % 40 < 10
    )
    directory = run(tmp_path, cluster, repetitions=1, algorithms="random")
    reasons = {reason for row in rows(directory / "summary.csv") for reason in row["reasons"].split("; ")}
    assert "requests: the clients started them 75 ms late (p95), so the load was another" in reasons
    assert [reason for reason in reasons if reason.endswith("20 of 640 connections were not answered")]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"algorithms": "hash,best"}, "'best' does not exist; there are: hash, random, round-robin"),
        ({"algorithms": "hash,hash"}, "name at least one, and each once"),
        ({"requests_per_s": 400.0}, "400 is more than 4 endpoints can do .320 per second."),
        ({"ports": 5000}, "5000 for each of 7 algorithms are too many ports"),
    ],
)
def test_designs_that_mean_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    """Unknown algorithms and loads that no algorithm can carry are usage errors that name the parameter."""
    with pytest.raises(UsageError, match=message):
        made(**settings)


def test_the_kernel_baseline_is_refused(tmp_path: Path) -> None:
    """With nftables all Services choose alike: there is nothing to compare."""
    done = play("service_load_balancing", FakeCluster(services="nftables"), tmp_path, repetitions=1)
    assert done.state == "failed"
    assert "network.services is nftables, whose rules choose at random" in done.why


def test_order_is_a_function_of_the_seed() -> None:
    """The same seed gives the same order; a run has each measurement once and one endpoint that leaves."""
    order = run_order(made(), seed=9)
    assert order == run_order(made(), seed=9)
    assert order != run_order(made(), seed=10)
    assert len(order) == 1 + 7 + 7 + 1
    assert order[0].leaving in made().backends
    assert sorted(order[0].algorithms) == sorted(made().algorithms)


def test_source_ports_differ_between_repetitions_and_stay_below_the_kernels_own() -> None:
    """7 algorithms x 100 ports a repetition from 10000 on; the 33rd repetition begins anew."""
    assert [made().source_port(number) for number in (0, 1, 31, 32)] == [10000, 10700, 31700, 10000]


def test_manifests_are_what_is_measured() -> None:
    """One slow endpoint, pods spread over nodes; the endpoint that leaves is in no slice; weights follow the speeds."""
    pods = [obj for obj in load(pod_manifests(made(), ["n1", "n2"])) if obj["kind"] == "Pod"]
    assert [pod["spec"]["nodeName"] for pod in pods[:4]] == ["n1", "n2", "n1", "n2"]
    assert [pod["spec"]["containers"][0]["args"][2:] for pod in pods[:4]] == [
        *([["--service-time=10ms"]] * 3),
        ["--service-time=50ms"],
    ]
    services = load(service_manifests(made()))
    assert [one["metadata"]["annotations"]["kubinet.dev/load-balancer"] for one in services] == list(made().algorithms)
    addresses = {name: IPv4Address(f"10.244.1.{number}") for number, name in enumerate(made().backends, 2)}
    slices = load(slice_manifests(made(), addresses, without="backend-2"))
    assert len(slices) == 7
    assert [one["addresses"] for one in slices[0]["endpoints"]] == [["10.244.1.2"], ["10.244.1.4"], ["10.244.1.5"]]
    weights = json.loads(slices[0]["metadata"]["annotations"]["kubinet.dev/weights"])
    assert weights == {"10.244.1.2": 50, "10.244.1.4": 50, "10.244.1.5": 10}


@pytest.mark.parametrize("parse", [parse_spreads, parse_requests, parse_rate])
def test_output_that_is_cut_is_an_error(parse: Callable[[str], object]) -> None:
    """Half a document and another mode's are refused."""
    for text in ('{"started": 1', "[]x", '"text"'):
        with pytest.raises(KubinetError, match="agnhost load-client: its output is not"):
            parse(text)


def test_chi_square_of_known_counts() -> None:
    """Equal counts: p = 1. 40 20 20 20 against even shares: statistic 12 with 3 degrees of freedom, p = 0.0074."""
    assert chi_square([25, 25, 25, 25], [1, 1, 1, 1], seed=1) == 1.0
    assert chi_square([40, 20, 20, 20], [0.25] * 4, seed=1) == pytest.approx(0.0074, abs=0.003)
    assert chi_square([50, 50, 50, 10], [50, 50, 50, 10], seed=1) == 1.0
    with pytest.raises(ValueError, match="a share above zero for each"):
        chi_square([1, 2], [1, 0], seed=1)


def test_mean_has_the_interval_of_its_repetitions() -> None:
    """Repetitions that agree give the sampling error of a share; repetitions that differ widen it."""
    alike = mean([[0, 0, 0, 1] * 100] * 4, seed=1)
    assert (alike.value, alike.samples) == (0.25, 1600)
    assert 0.22 < alike.low < 0.24
    assert 0.26 < alike.high < 0.28
    unlike = mean([[0] * 400, [1] * 400, [0] * 400, [0] * 400], seed=1)
    assert (unlike.value, unlike.low) == (0.25, 0.0)
    assert unlike.high >= 0.5
    rates = mean([[100.0, 104.0], [108.0]], seed=1)
    assert (rates.value, rates.samples, rates.low, rates.high) == (104.0, 3, 101.0, 108.0)
