"""What every emulated test of a whole cluster gets: a cluster, and on failure everything that explains it.

A test fails when a service logged an exception or an OpenFlow error, even if all its own assertions held.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from logtrouble import trouble_in_logs
from servicelab import Lab

from kubinet.cluster import Cluster


@pytest.fixture(autouse=True)
def _state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clusters of tests never appear among the user's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


class ClusterUnderTest:
    """Starts clusters for one test and looks after them."""

    def __init__(self) -> None:
        self.started: list[Cluster] = []

    def __call__(self, topology: str = "leaf-spine", **options: object) -> Cluster:
        cluster = Cluster(topology, **options)  # type: ignore[arg-type]
        cluster.__enter__()
        self.started.append(cluster)
        return cluster

    def close(self, *, failed: bool) -> list[str]:
        """Stop all; returns the lines in services' logs that mean trouble."""
        trouble: list[str] = []
        for cluster in self.started:
            if cluster._info is None:
                continue
            trouble += trouble_in_logs(cluster.info.state_dir / "logs")
            if failed or trouble:
                _dump(cluster)
            cluster.stop()
        return trouble


@pytest.fixture
def start_cluster(request: pytest.FixtureRequest) -> Iterator[ClusterUnderTest]:
    """A function that starts a cluster (arguments of `Cluster`), stopped after the test."""
    clusters = ClusterUnderTest()
    yield clusters
    trouble = clusters.close(failed=bool(request.node.stash.get(_FAILED, False)))
    expected = request.node.get_closest_marker("logs_trouble")
    if trouble and expected is None:
        pytest.fail("services logged trouble:\n" + "\n".join(trouble[:40]))


@pytest.fixture(scope="module", params=["sdn", "nftables"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A cluster for all tests of a module, once with each service proxy.

    The module's `CLUSTER` are arguments of `Cluster`, its `prepare(lab)` makes what all its tests use.
    """
    options = dict(getattr(request.module, "CLUSTER", {"topology": "star", "nodes": 2}))
    settings = {"network.dnsReplicas": 0, **options.pop("settings", {}), "network.services": request.param}
    failed = request.session.testsfailed
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with Cluster(**options, settings=settings) as cluster:
            made = Lab(cluster, request.param)
            if prepare := getattr(request.module, "prepare", None):
                prepare(made)
            yield made
            trouble = list(trouble_in_logs(cluster.info.state_dir / "logs"))
            if trouble or request.session.testsfailed > failed:
                _dump(cluster)
            if not getattr(request.module, "LOGS_TROUBLE", ""):
                assert trouble == []


_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.when == "call" and report.failed:
        item.stash[_FAILED] = True
    return report


def _dump(cluster: Cluster) -> None:
    """Print what explains a failure: the ends of logs, links and flows of every node, the pods."""
    for log in sorted((cluster.info.state_dir / "logs").glob("*.log")):
        print(f"\n===== {log.name}")
        print("\n".join(log.read_text(errors="replace").splitlines()[-40:]))
    if not cluster.info.alive:
        print("\n===== the sandbox is dead")
        return
    try:
        for node in cluster.facts.nodes:
            run_dir = f"/run/kubinet/nodes/{node.name}"
            print(f"\n===== {node.name}: links\n{cluster.node(node.name).exec(['ip', '-s', 'addr']).text}")
            for bridge in ("br-int", "br-phy"):
                flows = cluster.run(
                    ["ovs-ofctl", "-O", "OpenFlow15", "dump-flows", f"unix:{run_dir}/{bridge}.mgmt"], check=False
                )
                print(f"\n===== {node.name}: flows of {bridge}\n{flows.text[:20000]}")
        for pod in cluster.client.list("Pod")["items"]:
            print(pod["metadata"]["namespace"], pod["metadata"]["name"], pod.get("status"))
    except Exception as error:
        print(f"(the dump ended early: {error})")
