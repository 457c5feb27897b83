"""Every fault on a running cluster: it is there, the cluster suffers, and afterwards everything is as before."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from logtrouble import trouble_in_logs

from experiments.timeline.actions import Heal, Injection
from experiments.timeline.board import Board
from experiments.timeline.faults.base import Case
from experiments.timeline.faults.catalogue import FAULTS
from experiments.timeline.language import parse_action, parse_timeline
from experiments.timeline.performing import heal, inject, take_turn
from experiments.timeline.player import Player
from experiments.timeline.site import Site
from kubinet.cluster import Cluster

pytestmark = pytest.mark.emulated

_KUBINET = Path(__file__).resolve().parents[2] / "bin" / "kubinet"
_WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "registry.k8s.io/pause:3.10"}]
"""
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: default}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}
"""
_SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
_MEANT = re.compile(
    r"supervisor: service (controller|api|agents) ended with status -9$"  # killed by the test
    r"|dpif_netdev\|ERR\|error receiving data from n\d-eth0: Network is down$"  # its link was set down
)
"""Errors that the faults are made for."""

BAD = ("absent", "no symptom", "not recovered", "failed")
LINES = [
    "link n1-s1 down",
    "link n2-s1 flap every 200ms",
    "set link n1-s1 delay 20ms loss 3%",
    "set link n1-s1 rate 10mbit",
    "partition [n1] [n2, n3]",
    "partition [controller] [n2]",
    "kill controller",
    "kill api",
    "kill agents",
    "pause controller",
    "pause api",
    "pause agents",
    "stop agent n3",
    "restart ovs on n2",
    "scale deploy/web 5",
    "apply policy.yaml",
    "delete service.yaml",
    "churn 50% of pods app=web every 500ms",
    "crash node n3",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Three nodes around a switch, a pod on each."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "policy.yaml").write_text(_POLICY)
    (folder / "service.yaml").write_text(_SERVICE)
    settings = {"network.dnsReplicas": 0, "delay": "1ms", "rate": "50mbit"}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with Cluster("star", nodes=3, settings=settings) as cluster:
            cluster.apply(_WEB + "---" + _SERVICE)
            cluster.wait("Deployment", "web", "Available", namespace="default")
            yield Site(cluster, folder=folder)
            trouble = [line for line in trouble_in_logs(cluster.info.state_dir / "logs") if not _MEANT.search(line)]
            assert trouble == []


@pytest.fixture(autouse=True)
def _state_folder(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module's cluster is found where it was started; what a failed test left is healed."""
    monkeypatch.setenv("XDG_STATE_HOME", str(site.cluster.info.state_dir.parents[2]))
    yield
    board = Board(site.cluster.info.state_dir)
    for entry in board.entries():
        heal(site, board, entry.name)


def _injection(text: str) -> Injection:
    action = parse_action(text)
    assert not isinstance(action, Heal)
    return action


def test_the_list_has_every_fault() -> None:
    """No kind of fault is left out below."""
    assert {type(parse_action(line)) for line in LINES} == set(FAULTS)


@pytest.mark.parametrize("line", LINES)
def test_a_fault_is_there_hurts_and_goes(site: Site, line: str) -> None:
    """The three checks of a fault hold, one after the other: presence, symptom, recovery."""
    board = Board(site.cluster.info.state_dir)
    action = _injection(line)
    done = inject(site, board, action, has_end=True)
    try:
        present = done.present()
        assert present.holds, present.seen
        symptom = done.symptom()
        assert symptom.holds, symptom.seen
        if line.startswith("link n2-s1 flap"):
            assert take_turn(site, board, done.name) is not None
    finally:
        healed = heal(site, board, done.name) if done.name else None
    recovered = (healed or done).healed()
    assert recovered.holds, recovered.seen
    assert board.entries() == ()


def test_a_partition_cuts_pods(site: Site) -> None:
    """Pods of different groups do not reach each other, pods of one group do; afterwards all do."""
    pods = {pod["spec"]["nodeName"]: pod for pod in site.client.list("Pod", "default")["items"]}
    assert set(pods) == {"n1", "n2", "n3"}

    def reaches(source: str, target: str) -> bool:
        argv = ["ping", "-n", "-c", "1", "-W", "1", pods[target]["status"]["podIP"]]
        return site.cluster.pod(pods[source]["metadata"]["name"]).exec(argv, check=False).exit_code == 0

    board = Board(site.cluster.info.state_dir)
    done = inject(site, board, _injection("partition [n1] [n2, n3]"))
    assert done.present().holds
    assert [reaches("n1", "n2"), reaches("n3", "n1"), reaches("n2", "n3")] == [False, False, True]
    healed = heal(site, board, done.name)
    assert healed is not None
    assert healed.healed().holds
    assert [reaches("n1", "n2"), reaches("n3", "n1"), reaches("n2", "n3")] == [True, True, True]


class _Stage:
    """A run of the module's cluster."""

    def __init__(self, site: Site) -> None:
        self.cluster: Any = site.cluster
        self.seed = 1
        self.started_s = time.time()
        self.told: list[str] = []

    def tell(self, text: str) -> None:
        self.told.append(text)


def test_a_partition_outlives_controller_and_switch(site: Site) -> None:
    """Its flows are not swept by a new controller, and are set again on a node whose Open vSwitch is new."""
    stage = _Stage(site)
    lines = ["at 0s: partition [n1] [n2, n3]", "at 1s: kill controller", "at 4s: restart ovs on n1"]
    player = Player(parse_timeline(lines), open_site=lambda _: site)
    player.check(site)
    player.start(stage)
    player.wait()
    [entry] = Board(site.cluster.info.state_dir).entries()
    rows = player.happenings
    renewed = [(one.fault, one.detail) for one in rows if one.event == "renewed"]
    assert renewed == [("restart ovs on n1", "partition-1 was set again")]
    assert FAULTS[type(entry.action)].present(Case(site, entry.action, entry.memory)).seen == "8 of 8 drop flows"
    rows = player.stop()
    events = [one.event for one in rows if one.fault == lines[0].partition(": ")[2]]
    assert events == ["injected", "present", "symptom", "healed", "recovered"]
    assert [one.event for one in rows if one.fault == "kill controller"] == [
        "injected",
        "present",
        "symptom",
        "recovered",
    ]
    bad = [(one.event, one.fault, one.detail) for one in rows if one.event in BAD]
    assert bad == []
    assert max(one.late_s for one in rows if one.late_s is not None) < 0.5


def _kubinet(site: Site, *words: str) -> "subprocess.CompletedProcess[str]":
    argv = [str(_KUBINET), "fault", *words, "--cluster", site.cluster.name]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_faults_by_hand(site: Site) -> None:
    """`kubinet fault inject`, `ls` and `heal` in processes of their own know of the same faults."""
    done = _kubinet(site, "inject", "link n2-s1 down")
    assert (done.returncode, done.stdout) == (
        0,
        "link-1: link n2-s1 down\npresent: 2 of 2 interfaces are down\nsymptom: 0 of 40 frames arrived\n",
    ), done.stderr
    [listed] = json.loads(_kubinet(site, "ls", "-o", "json").stdout)
    assert (listed["name"], listed["fault"], listed["present"]) == ("link-1", "link n2-s1 down", True)
    done = _kubinet(site, "heal", "link-1")
    healed = "link-1 healed: link n2-s1 down\nrecovered: 40 of 40 frames arrived\n"
    assert (done.returncode, done.stdout) == (0, healed), done.stderr
    wrong = _kubinet(site, "inject", "link n9-s1 down")
    message = "Error: link 'n9-s1' is not in this cluster; its links: n1-s1, n2-s1, n3-s1, internet-s1\n"
    assert (wrong.returncode, wrong.stderr) == (2, message)
    wrong = _kubinet(site, "inject", "link n1-s1 sideways")
    assert (wrong.returncode, wrong.stderr.splitlines()[0]) == (
        2,
        "Error: fault, column 12: 'sideways' is not what happens to the link; known: down, flap, up",
    )
