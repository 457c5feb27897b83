"""Probes and life-cycle hooks in a whole cluster: run from the node, over its gateway, by real packets."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kubinet.addressing import gateway_address
from kubinet.cluster import Cluster

pytestmark = pytest.mark.emulated

AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.47"
Object = dict[str, Any]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes for all tests of this file; a service that logs trouble fails the last of them."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        # Without DNS: nothing here needs names, and the cluster is up sooner.
        with Cluster("star", nodes=2, settings={"network.dnsReplicas": 0}) as running:
            yield running
            log = (running.info.state_dir / "logs" / "agents.log").read_text()
            assert [line for line in log.splitlines() if "Traceback" in line or "ERROR" in line] == [], log[-4000:]


@pytest.fixture(autouse=True)
def _same_state(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(cluster.info.state_dir.parents[2]))


@pytest.fixture
def create(cluster: Cluster) -> Iterator[Callable[..., None]]:
    """Creates pods (`name`, `containers`, further fields of the spec); they are deleted after the test."""
    names: list[str] = []

    def make(name: str, *containers: Object, **spec: Any) -> None:
        named = [{"name": f"c{index}", "image": "busybox", **entry} for index, entry in enumerate(containers)]
        names.append(name)
        pod = {"nodeName": "n1", "terminationGracePeriodSeconds": 1, "containers": named, **spec}
        cluster.client.create(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": pod}
        )

    yield make
    for item in cluster.client.list("Pod", "default")["items"]:
        if item["metadata"]["name"] in names:
            cluster.client.delete("Pod", item["metadata"]["name"], "default", grace_period=0)


def sh(script: str) -> Object:
    return {"command": ["sh", "-c", script]}


def every_second(check: Object, **changes: int) -> Object:
    return {"periodSeconds": 1, **check, **changes}


def ready(pod: Object | None) -> str:
    conditions = (pod or {}).get("status", {}).get("conditions", [])
    return next((entry["status"] for entry in conditions if entry["type"] == "Ready"), "")


def until_ready(cluster: Cluster, name: str, wanted: bool = True, timeout: float = 30) -> Object:
    text = "True" if wanted else "False"
    return cluster.wait_until("Pod", name, lambda pod: ready(pod) == text, namespace="default", timeout=timeout)


def statuses(pod: Object) -> list[Object]:
    found: list[Object] = pod["status"]["containerStatuses"]
    return found


def until_restarted(cluster: Cluster, name: str) -> Object:
    def restarted(pod: Object | None) -> bool:
        entry = (pod or {}).get("status", {}).get("containerStatuses", [{}])[0]
        return entry.get("restartCount") == 1 and "running" in entry["state"]

    return cluster.wait_until("Pod", name, restarted, namespace="default", timeout=30, what="one restart")


def events(cluster: Cluster, name: str) -> dict[str, list[str]]:
    """Messages of the pod's events by reason."""
    found: dict[str, list[str]] = {}
    for event in cluster.client.list("Event", "default")["items"]:
        if event["involvedObject"]["name"] == name:
            found.setdefault(event["reason"], []).append(event["message"])
    return found


def until(fact: Callable[[], Any], what: str) -> Any:
    """Poll what nothing tells about: events are written in the background."""
    deadline = time.monotonic() + 30
    while not (value := fact()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return value


def until_event(cluster: Cluster, name: str, reason: str) -> list[str]:
    messages: list[str] = until(lambda: events(cluster, name).get(reason), f"event {reason} of {name}")
    return messages


def test_a_probe_travels_as_packets_from_the_nodes_gateway(cluster: Cluster, create: Callable[..., None]) -> None:
    """The pod sees the gateway's address as client; with its interface down it is not ready, with it up it is again."""
    serve = {
        "command": ["/usr/bin/python3", "-u", "-m", "http.server", "8000"],
        "ports": [{"name": "web", "containerPort": 8000}],
        "readinessProbe": every_second({"httpGet": {"port": "web", "path": "/etc/hostname"}}, failureThreshold=1),
        "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}},
    }
    create("packets", serve)
    until_ready(cluster, "packets")
    node = next(node for node in cluster.facts.nodes if node.name == "n1")
    pod = cluster.pod("packets")
    clients = {line.split(" ")[0] for line in pod.logs().splitlines() if "GET /etc/hostname" in line}
    assert clients == {str(gateway_address(node.pod_cidr))}

    pod.exec(["ip", "link", "set", "eth0", "down"])
    until_ready(cluster, "packets", False)
    (message,) = until_event(cluster, "packets", "Unhealthy")[-1:]
    assert message.startswith(f'Readiness probe failed: Get "http://{pod.address}:8000/etc/hostname": ')
    pod.exec(["sh", "-c", f"ip link set eth0 up && ip route add default via {gateway_address(node.pod_cidr)}"])
    until_ready(cluster, "packets")


def test_readiness_follows_http_and_exec_probes_and_readiness_gates(
    cluster: Cluster, create: Callable[..., None]
) -> None:
    """Each container by its own probe; Ready needs both and the gate's condition, which another client writes."""
    serve = "mkdir /www && touch /www/ok && exec httpd -f -p 8080 -h /www"
    create(
        "flips",
        {**sh(serve), "readinessProbe": every_second({"httpGet": {"port": 8080, "path": "/ok"}}, failureThreshold=1)},
        {**sh("sleep 1000"), "readinessProbe": every_second({"exec": {"command": ["test", "-e", "/tmp/ok"]}})},
        readinessGates=[{"conditionType": "example.com/gate"}],
    )

    def now(first: bool, second: bool) -> Object:
        return cluster.wait_until(
            "Pod",
            "flips",
            lambda pod: (
                bool(pod) and [one["ready"] for one in pod["status"].get("containerStatuses", [])] == [first, second]
            ),
            namespace="default",
            timeout=30,
        )

    def condition(pod: Object, kind: str) -> tuple[str, str, str]:
        entry = next(entry for entry in pod["status"]["conditions"] if entry["type"] == kind)
        return entry["status"], entry.get("reason", ""), entry.get("message", "")

    unready = now(True, False)
    message = "containers with unready status: [c1]"
    assert condition(unready, "Ready") == ("False", "ContainersNotReady", message)
    cluster.pod("flips").exec(["touch", "/tmp/ok"], container="c1")
    gated = now(True, True)
    assert condition(gated, "ContainersReady") == ("True", "", "")
    message = 'corresponding condition of pod readiness gate "example.com/gate" does not exist.'
    assert condition(gated, "Ready") == ("False", "ReadinessGatesNotReady", message)
    gate = {"status": {"conditions": [{"type": "example.com/gate", "status": "True"}]}}
    cluster.client.patch("Pod", "flips", gate, "default", type="strategic", subresource="status")
    until_ready(cluster, "flips")
    cluster.pod("flips").exec(["rm", "/www/ok"], container="c0")
    unready = now(False, True)
    assert condition(unready, "Ready")[:2] == ("False", "ContainersNotReady")
    assert statuses(unready)[0]["started"] is True
    assert [one["restartCount"] for one in statuses(unready)] == [0, 0], "readiness restarts nothing"


def _lines(cluster: Cluster, pod: str, count: int) -> list[str] | None:
    """The lines of /d/log; None while there are fewer."""
    lines = cluster.pod(pod).exec(["cat", "/d/log"]).text.splitlines()
    return lines if len(lines) >= count else None


def test_a_failed_liveness_probe_restarts_the_container_after_its_pre_stop_hook(
    cluster: Cluster, create: Callable[..., None]
) -> None:
    """Upstream's events; the hook runs before SIGTERM; the pod stays, and restarts although it ended with 0."""
    script = 'echo start >>/d/log; trap "echo term >>/d/log; exit 0" TERM; while :; do sleep 0.1; done'
    create(
        "sick",
        {
            **sh(script),
            "livenessProbe": every_second({"exec": {"command": ["sh", "-c", "! cat /tmp/sick"]}}, failureThreshold=2),
            "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "sleep 0.3; echo hook >>/d/log"]}}},
            "volumeMounts": [{"name": "d", "mountPath": "/d"}],
        },
        volumes=[{"name": "d", "emptyDir": {}}],
        restartPolicy="OnFailure",
        terminationGracePeriodSeconds=10,
    )
    until_ready(cluster, "sick")
    cluster.pod("sick").exec(["sh", "-c", "echo not well >/tmp/sick"])
    pod = until_restarted(cluster, "sick")
    assert statuses(pod)[0]["lastState"]["terminated"]["exitCode"] == 0
    written = until(lambda: _lines(cluster, "sick", 4), "the second run's line")
    assert written == ["start", "hook", "term", "start"]
    assert until_event(cluster, "sick", "Killing") == ["Container c0 failed liveness probe, will be restarted"]
    assert events(cluster, "sick")["Unhealthy"] == ["Liveness probe failed: not well\n"]


def test_a_startup_probe_holds_liveness_and_readiness_back(cluster: Cluster, create: Callable[..., None]) -> None:
    """A liveness probe that would fail at once does not run before the container has started, and then it does."""
    create(
        "slow",
        {
            **sh("sleep 1000"),
            "startupProbe": every_second({"exec": {"command": ["test", "-e", "/tmp/up"]}}, failureThreshold=30),
            "livenessProbe": every_second({"tcpSocket": {"port": 1}}, failureThreshold=1),
        },
    )

    def failures() -> bool:
        mine = [e for e in cluster.client.list("Event", "default")["items"] if e["involvedObject"]["name"] == "slow"]
        return any(event["reason"] == "Unhealthy" and event["count"] >= 3 for event in mine)

    until(failures, "three runs of the startup probe")
    pod = cluster.client.get("Pod", "slow", "default")
    entry = statuses(pod)[0]
    assert (entry["started"], entry["ready"], entry["restartCount"]) == (False, False, 0)
    assert events(cluster, "slow")["Unhealthy"] == ["Startup probe failed: exit status 1"]
    cluster.pod("slow").exec(["touch", "/tmp/up"])
    until_restarted(cluster, "slow")
    address = cluster.pod("slow").address
    refused = f"Liveness probe failed: dial tcp {address}:1: connect: connection refused"
    assert refused in events(cluster, "slow")["Unhealthy"]


def test_a_terminating_pod_tells_its_readiness_until_its_end(cluster: Cluster, create: Callable[..., None]) -> None:
    """While the preStop hook runs readiness goes on, liveness does not; the hook's request reaches another pod."""
    create(
        "witness",
        {"image": AGNHOST, "args": ["netexec"], "readinessProbe": every_second({"tcpSocket": {"port": 8080}})},
    )
    until_ready(cluster, "witness")
    create(
        "leaving",
        {
            **sh('trap "sleep 1; exit 0" TERM; touch /tmp/ok; while :; do sleep 0.1; done'),
            "readinessProbe": every_second({"exec": {"command": ["test", "-e", "/tmp/ok"]}}, failureThreshold=1),
            "livenessProbe": every_second(
                {"exec": {"command": ["test", "-e", "/tmp/ok"]}}, failureThreshold=1, initialDelaySeconds=1
            ),
            "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "rm /tmp/ok; sleep 2.5"]}}},
        },
        {
            "image": "registry.k8s.io/pause:3.10",
            "lifecycle": {
                "preStop": {"httpGet": {"host": str(cluster.pod("witness").address), "port": 8080, "path": "/bye"}}
            },
        },
        terminationGracePeriodSeconds=60,
    )
    until_ready(cluster, "leaving")
    began = time.monotonic()
    serving = cluster.client.delete("Pod", "leaving", "default")
    assert (bool(serving["metadata"]["deletionTimestamp"]), ready(serving)) == (True, "True")
    unready = until_ready(cluster, "leaving", False)
    assert [one["restartCount"] for one in statuses(unready)] == [0, 0]
    assert "running" in statuses(unready)[0]["state"]
    cluster.wait("Pod", "leaving", "delete", namespace="default", timeout=30)
    assert 2.5 <= time.monotonic() - began < 40
    assert "GET /bye" in cluster.pod("witness").logs()
    assert sorted(events(cluster, "leaving")["Killing"]) == ["Stopping container c0", "Stopping container c1"]


def test_post_start_hooks_belong_to_the_start(cluster: Cluster, create: Callable[..., None]) -> None:
    """Until the hook has ended the container is not running; one that fails ends the container, which comes again."""
    hook = {
        "lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", "while ! test -e /tmp/go; do sleep 0.1; done"]}}}
    }
    create("hooked", {**sh("sleep 1; touch /tmp/go; sleep 1000"), **hook})
    until_event(cluster, "hooked", "Started")
    created = cluster.client.get("Pod", "hooked", "default")
    assert statuses(created)[0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    until_ready(cluster, "hooked")
    bad = {"lifecycle": {"postStart": {"exec": {"command": ["false"]}}}}
    create("failing", {**sh("sleep 1000"), **bad})
    assert until_event(cluster, "failing", "Killing") == ["FailedPostStartHook"]
    assert events(cluster, "failing")["FailedPostStartHook"] == ["PostStartHook failed"]
    cluster.wait_until(
        "Pod",
        "failing",
        lambda pod: bool(pod) and "CrashLoopBackOff" in json.dumps(pod["status"]),
        namespace="default",
        timeout=30,
    )


def test_a_sidecars_startup_probe_comes_before_the_containers(cluster: Cluster, create: Callable[..., None]) -> None:
    """The main container is started when the sidecar has passed it, and a deadline ends both: DeadlineExceeded."""
    probe = every_second({"exec": {"command": ["test", "-e", "/tmp/up"]}})
    side = {"name": "side", "image": "busybox", "restartPolicy": "Always", "startupProbe": probe}
    create(
        "beside",
        sh("sleep 1000"),
        initContainers=[{**side, **sh("sleep 1; touch /tmp/up; sleep 1000")}],
        activeDeadlineSeconds=5,
    )
    pod = until_ready(cluster, "beside")
    (sidecar,) = pod["status"]["initContainerStatuses"]
    assert (sidecar["started"], sidecar["ready"]) == (True, True)
    assert statuses(pod)[0]["state"]["running"]["startedAt"] > sidecar["state"]["running"]["startedAt"]
    over = cluster.wait_until(
        "Pod", "beside", lambda pod: bool(pod) and pod["status"]["phase"] == "Failed", namespace="default", timeout=20
    )
    assert over["status"]["reason"] == "DeadlineExceeded"
    until_event(cluster, "beside", "DeadlineExceeded")


def test_a_new_agents_service_probes_on_without_a_flap(cluster: Cluster, create: Callable[..., None]) -> None:
    """After kill -9 of the agents a ready pod is ready all the time, and is probed again; the container goes on."""
    serve = ["/usr/bin/python3", "-u", "-m", "http.server", "8000"]
    create(
        "kept", {"command": serve, "readinessProbe": every_second({"httpGet": {"port": 8000, "path": "/etc/hosts"}})}
    )

    def since(pod: Object) -> str:
        return next(str(e["lastTransitionTime"]) for e in pod["status"]["conditions"] if e["type"] == "Ready")

    def runs() -> int:
        return cluster.pod("kept").logs().count("GET /etc/hosts")

    before = since(until_ready(cluster, "kept"))
    cluster.run(["kill", "-9", str(cluster.services()["agents"]["pid"])])
    until(lambda: cluster.services()["agents"]["restarts"] == 1, "the new agents service")
    seen = runs()
    until(lambda: runs() > seen + 1, "probes of the new agents service")
    pod = cluster.client.get("Pod", "kept", "default")
    assert (ready(pod), since(pod), statuses(pod)[0]["restartCount"]) == ("True", before, 0)
