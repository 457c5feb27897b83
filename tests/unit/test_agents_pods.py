"""Which pods of a node are planned when its agent wakes: those that changed or are due, and no others."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents import pods
from agents.plan import Action
from agents.pod_network import Attached, PodLink
from agents.podrecord import PodTools, Record
from agents.podresolver import ClusterDns
from agents.pods import PodManager
from agents.probes.state import Health
from kubinet.cri import ContainerPhase, ContainerStatus, SandboxInfo, SandboxSpec
from kubinet.errors import KubinetError
from kubinet.state import NodeFacts

NODE = NodeFacts(
    name="n1",
    index=1,
    pid=10,
    interface="n1-eth0",
    mac="06:00:00:00:00:01",
    underlay=IPv4Interface("172.18.0.1/24"),
    gateway=None,
    gateway_mac=None,
    management=IPv4Interface("172.30.0.1/24"),
    pod_cidr=IPv4Network("10.244.1.0/24"),
)


class Runtime:
    """Plays the runtime: containers run as soon as they are started."""

    epoch = 1

    def __init__(self) -> None:
        self.sandboxes: dict[str, SandboxInfo] = {}
        self.running: dict[str, dict[str, ContainerStatus]] = {}
        self.versions: dict[str, int] = {}

    def changed(self, uid: str) -> None:
        self.versions[uid] = self.versions.get(uid, 0) + 1

    def version(self, uid: str) -> int:
        return self.versions.get(uid, 0)

    def sandboxes_of(self, node: str) -> Mapping[str, SandboxInfo]:
        return self.sandboxes

    def sandbox(self, uid: str) -> SandboxInfo | None:
        return self.sandboxes.get(uid)

    def containers(self, uid: str) -> tuple[Mapping[str, ContainerStatus], Mapping[str, ContainerStatus]]:
        return dict(self.running.get(uid, {})), {}

    def create(self, specs: Sequence[SandboxSpec]) -> None:
        for spec in specs:
            self.sandboxes[spec.pod_uid] = SandboxInfo(spec.pod_uid, "d", spec.name, spec.node, Path("/proc/1/ns/net"))
            self.changed(spec.pod_uid)

    def remove(self, uids: Sequence[str], *, keep_logs: bool) -> None:
        for uid in uids:
            self.sandboxes.pop(uid, None)
            self.running.pop(uid, None)
            self.changed(uid)


class Prober:
    """Plays the probes' engine: verdicts as the test sets them, by pod."""

    def __init__(self) -> None:
        self.verdicts: dict[str, dict[str, tuple[int, Health]]] = {}
        self.hooks = SimpleNamespace(under_way=lambda _: False, result=lambda _: None)

    def watch(self, uid: str, wanted: object) -> None:
        pass

    def health(self, uid: str) -> Mapping[str, tuple[int, Health]]:
        return dict(self.verdicts.get(uid, {}))

    def forget(self, uid: str) -> None:
        self.verdicts.pop(uid, None)


class Api:
    """Plays the API for one node's pods: a write makes a new object."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.version = 0
        self.container: dict[str, Any] = {"name": "main", "image": "pause"}
        self.down = False

    def put(self, name: str, **metadata: Any) -> None:
        self.version += 1
        old = self.objects.get(name, {"status": {}})
        self.objects[name] = {
            "metadata": {"uid": name, "name": name, "namespace": "d", "resourceVersion": str(self.version)} | metadata,
            "spec": {"containers": [self.container], "terminationGracePeriodSeconds": 0},
            "status": old["status"],
        }

    def patch(self, kind: str, name: str, patch: Any, namespace: str, **_: Any) -> dict[str, Any]:
        if self.down:
            raise KubinetError("the API does not answer")
        self.put(name)
        merged = self.objects[name]["status"] | patch["status"]
        for key in ("podIPs", "hostIPs"):  # of a strategic merge patch: the list replaces the old one
            merged[key] = [entry for entry in merged.get(key, ()) if "$patch" not in entry]
        merged["conditions"] = [
            {key: value for key, value in entry.items() if value is not None} for entry in merged.get("conditions", ())
        ]
        self.objects[name]["status"] = merged
        return self.objects[name]

    def delete(self, kind: str, name: str, namespace: str, **_: Any) -> None:
        del self.objects[name]


class Node:
    """A PodManager whose surroundings are ours; `planned` has the names planned since the last `wake`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.api, self.runtime, self.prober = Api(), Runtime(), Prober()
        self.planned: list[str] = []
        events = SimpleNamespace(tell=lambda *_: None)
        tools = SimpleNamespace(runtime=self.runtime, events=events, images=None, prober=self.prober, dns=ClusterDns())
        self.network = SimpleNamespace(attached=dict, connect=self._connect, disconnect=self._disconnect)
        monkeypatch.setattr(pods, "PodNetwork", lambda _: self.network)
        monkeypatch.setattr(pods, "ContainerStarter", lambda *_: SimpleNamespace(start=self._start))
        plan = pods.plan

        def counted(pod: Any, *arguments: Any) -> Any:
            self.planned.append(pod.name if pod is not None else "?")
            return plan(pod, *arguments)

        monkeypatch.setattr(pods, "plan", counted)
        tools_: PodTools = tools  # type: ignore[assignment]
        self.manager = PodManager(tools_, self.api, NODE, lambda: None)  # type: ignore[arg-type,return-value]
        self.realised = 10**9

    def _connect(self, links: Sequence[PodLink]) -> Mapping[str, KubinetError]:
        return {}

    def _disconnect(self, ports: Iterable[Attached]) -> None:
        list(ports)

    def _start(self, entries: Sequence[tuple[Record, Action]], addresses: Mapping[str, IPv4Address]) -> None:
        for record, action in entries:
            now = datetime.now(UTC)
            status = ContainerStatus(record.uid, action.container, 0, ContainerPhase.RUNNING, 1, now, Path("/log"))
            self.runtime.running[record.uid] = {action.container: status}
            self.runtime.changed(record.uid)

    def wake(self) -> list[str]:
        """One look of the agent; returns which pods were planned, each once."""
        self.planned.clear()
        self.manager.reconcile(self.api.objects, self.realised)
        return sorted(set(self.planned))

    def settle(self, *names: str) -> None:
        """Create pods and look until nothing is planned any more."""
        for name in names:
            self.api.put(name)
        for _ in range(5):
            if not self.wake():
                return
        raise AssertionError(f"still planned: {self.planned}")


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    return Node(monkeypatch)


def test_an_unchanged_pod_is_not_planned_again(node: Node) -> None:
    """Three running pods: a wake without news plans none, a changed object one, a container's change one."""
    node.settle("a", "b", "c")
    assert {name: obj["status"]["phase"] for name, obj in node.api.objects.items()} == dict.fromkeys("abc", "Running")
    assert node.wake() == []
    node.api.put("b")
    assert node.wake() == ["b"]
    node.runtime.changed("c")
    assert node.wake() == ["c"]
    assert node.wake() == []


def test_a_new_pod_does_not_have_the_others_planned(node: Node) -> None:
    """From its creation to Running, through five kinds of actions, and its deletion."""
    node.settle("a", "b")
    node.api.put("c")
    assert node.wake() == ["c"]
    node.settle()
    node.api.put("c", deletionTimestamp="2026-11-24T00:00:00Z", deletionGracePeriodSeconds=0)
    assert node.wake() == ["c"]
    assert "c" not in node.api.objects
    assert node.wake() == []


def test_only_pods_that_wait_for_their_flows_look_at_generations(node: Node) -> None:
    """A generation that includes a pod's address has it planned; the next generation concerns nobody."""
    node.settle("a")
    node.realised = 0
    node.api.put("b")
    assert node.wake() == ["b"] or node.wake() == ["b"]
    node.wake()
    assert node.runtime.running.keys() == {"a"}
    node.realised = node.api.version
    assert "b" in node.wake()
    assert node.runtime.running.keys() == {"a", "b"}


def test_a_probes_verdict_has_its_pod_planned(node: Node) -> None:
    """Only the pod that it is about, and only when the verdict is another one."""
    node.api.container["readinessProbe"] = {"tcpSocket": {"port": 80}}
    node.settle("a", "b")
    node.prober.verdicts["a"] = {"main": (0, Health(started=True, ready=True))}
    assert node.wake() == ["a"]
    node.settle()
    assert node.wake() == []
    node.prober.verdicts["a"] = {"main": (0, Health(started=True, ready=True))}
    assert node.wake() == []
    node.prober.verdicts["a"] = {"main": (0, Health(started=True, ready=False))}
    assert node.wake() == ["a"]


def test_a_pod_is_planned_when_it_is_due(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure nothing happens until the pause is over; then the pod is planned although nothing changed."""
    node.settle("a")

    def refuse(_: object) -> None:
        raise KubinetError("no namespaces")

    create = node.runtime.create
    monkeypatch.setattr(node.runtime, "create", refuse)
    node.api.put("b")
    node.wake()
    node.wake()  # its address came back from the API
    assert node.wake() == []
    record = node.manager._records["b"]
    assert record.look_again is not None
    monkeypatch.setattr(node.runtime, "create", create)
    record.look_again = record.blocked_until = datetime.now(UTC)
    assert node.wake() == ["b"]
    node.settle()
    assert node.runtime.running.keys() == {"a", "b"}


def test_a_successor_is_planned_when_its_predecessor_has_gone(node: Node) -> None:
    """A pod that is created anew under its name waits for the old one's interface, and only for that."""
    node.settle("a")
    old = node.api.objects["a"]
    node.api.objects["new"] = {**old, "metadata": {**old["metadata"], "uid": "new"}, "status": {}}
    assert node.wake() == ["a"]
    assert node.runtime.sandboxes.keys() == {"a"}
    assert node.wake() == []
    del node.api.objects["a"]
    assert node.wake() == ["?", "a"]
    assert node.runtime.running.keys() == {"new"}


def test_a_failed_look_is_repeated_for_all(node: Node) -> None:
    """When the API goes away in between, whatever was planned is planned again at the next wake."""
    node.settle("a")
    node.api.down = True
    node.api.put("a")
    node.api.objects["a"]["status"] = {"podIP": "10.244.1.2"}
    with pytest.raises(KubinetError, match="does not answer"):
        node.wake()
    node.api.down = False
    assert node.wake() == ["a"]


def test_a_pod_whose_flows_come_soon_is_written_twice(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address with the start time, and that it runs: not that it waited in between."""
    monkeypatch.setattr("agents.pods._CREATING_PATIENCE", timedelta(hours=1))
    written = _written(node, monkeypatch)
    node.realised = 0
    node.api.put("a")
    for _ in range(3):
        node.wake()
    assert [sorted(status) for status in written] == [["hostIP", "hostIPs", "podIP", "podIPs", "startTime"]]
    node.realised = node.api.version
    node.settle()
    assert [status.get("phase") for status in written] == [None, "Running"]
    assert written[1]["startTime"] == written[0]["startTime"]


def test_a_pod_that_waits_for_long_says_so(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the patience is over and it has no flows, its container is ContainerCreating in the API."""
    monkeypatch.setattr("agents.pods._CREATING_PATIENCE", timedelta(0))
    written = _written(node, monkeypatch)
    node.realised = 0
    node.api.put("a")
    for _ in range(4):
        node.wake()
    assert [status.get("phase") for status in written] == [None, "Pending"]
    assert written[1]["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}


def _written(node: Node, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The statuses that the agent writes from now on."""
    written: list[dict[str, Any]] = []
    patch = node.api.patch

    def noted(kind: str, name: str, body: Any, namespace: str, **options: Any) -> dict[str, Any]:
        written.append(body["status"])
        return patch(kind, name, body, namespace, **options)

    monkeypatch.setattr(node.api, "patch", noted)
    return written


def test_a_defect_that_one_pod_meets_is_not_its_nodes(
    node: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are made, it is tried again later and its event says so; the log has the traceback."""
    make = pods.sandbox_spec

    def defective(pod: Any, *arguments: Any) -> SandboxSpec:
        if pod.name == "b":
            raise KeyError("name")
        return make(pod, *arguments)

    monkeypatch.setattr(pods, "sandbox_spec", defective)
    for name in ("a", "b", "c"):
        node.api.put(name)
    node.wake()
    node.wake()  # their addresses came back from the API
    assert sorted(node.runtime.sandboxes) == ["a", "c"]
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        "node n1: pod d/b: a defect in the agent"
    ]
    assert "pod d/b: FailedSync: a defect in the agent: KeyError('name'); see its log" in caplog.text
    monkeypatch.setattr(pods, "sandbox_spec", make)
    record = node.manager._records["b"]
    record.look_again = record.blocked_until = datetime.now(UTC)
    node.wake()
    assert sorted(node.runtime.sandboxes) == ["a", "b", "c"]
