"""Commands on objects against an API that answers from a dictionary: what is asked, what is printed."""

from collections.abc import Iterator
from typing import Any

import pytest

from kubinet.cli import getting, waiting, writing
from kubinet.cli.describing import describe_object
from kubinet.cli.describing.lines import Related
from kubinet.cli.describing.related import related_of
from kubinet.cli.selection import Scope, Target, select
from kubinet.client import Client, Resource, WatchEvent
from kubinet.errors import ApiError, InvalidInputError, UsageError
from kubinet.manifests import parse_manifests

PODS = Resource("v1", "pods", "Pod", True, "pod", ("po",))
NODES = Resource("v1", "nodes", "Node", False, "node", ("no",))
POLICIES = Resource("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", True, "networkpolicy", ("netpol",))

COLUMNS = [
    {"name": "Name", "priority": 0},
    {"name": "Status", "priority": 0},
    {"name": "Restarts", "priority": 0},
    {"name": "IP", "priority": 1},
]


def row(name: str, restarts: int = 0, labels: dict[str, str] | None = None) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "labels": labels or {}}
    return {"cells": [name, "Running", restarts, "10.0.0.1"], "object": {"metadata": metadata}}


class Answer:
    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def json(self) -> dict[str, Any]:
        return self.data


class FakeClient(Client):
    """Answers from `answers` by (method, path), or raises what is there; keeps what was asked."""

    def __init__(self, answers: dict[tuple[str, str], Any]) -> None:
        super().__init__("http://fake", "token")
        self._resources = (PODS, NODES, POLICIES)
        self.answers = answers
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def raw(self, method: str, path: str, **options: Any) -> Any:
        self.asked.append((method, path, options))
        answer = self.answers.get((method, path))
        if answer is None:
            name = path.rpartition("/")[2]
            raise ApiError(404, "NotFound", f'pods "{name}" not found')
        if isinstance(answer, ApiError):
            raise answer
        return Answer(answer)


def table(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "Table", "columnDefinitions": COLUMNS, "rows": list(rows), "metadata": {"resourceVersion": "1"}}


ALL_PODS = "/api/v1/namespaces/default/pods"


def query(client: Client, *words: str, scope: Scope | None = None, **options: Any) -> getting.Query:
    return getting.Query(select(client, words), scope or Scope(), **options)


def test_get_prints_the_servers_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """`get pods` prints the Table of the server without its wide columns."""
    client = FakeClient({("GET", ALL_PODS): table(row("a"), row("longer", 3))})
    assert getting.get(client, query(client, "po")) == 0
    expected = "NAME     STATUS    RESTARTS\na        Running   0\nlonger   Running   3\n"
    assert capsys.readouterr().out == expected


def test_get_wide_with_labels_in_all_namespaces(capsys: pytest.CaptureFixture[str]) -> None:
    """-A puts the namespace first, -o wide shows all columns, -L and --show-labels add theirs."""
    client = FakeClient({("GET", "/api/v1/pods"): table(row("a", labels={"app": "web", "b": "c"}), row("d"))})
    wanted = query(
        client, "pods", scope=Scope(everywhere=True), output="wide", show_labels=True, label_columns=("app",)
    )
    assert getting.get(client, wanted) == 0
    assert capsys.readouterr().out == (
        "NAMESPACE   NAME   STATUS    RESTARTS   IP         APP   LABELS\n"
        "default     a      Running   0          10.0.0.1   web   app=web,b=c\n"
        "default     d      Running   0          10.0.0.1         <none>\n"
    )


def test_get_of_several_kinds_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    """With several kinds there is a table each and names say their kind; what is empty is left out."""
    policies = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
    client = FakeClient({("GET", ALL_PODS): table(row("a")), ("GET", policies): table(row("b"))})
    assert getting.get(client, query(client, "po,netpol", show_headers=False)) == 0
    expected = "pod/a   Running   0\n\nnetworkpolicy.networking.k8s.io/b   Running   0\n"
    assert capsys.readouterr().out == expected


def test_get_of_what_is_absent_prints_the_rest_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """One name that does not exist does not hide the others; the exit status is 1."""
    client = FakeClient({("GET", f"{ALL_PODS}/a"): table(row("a"))})
    assert getting.get(client, query(client, "pods", "a", "b", show_headers=False)) == 1
    captured = capsys.readouterr()
    assert captured.out == "a   Running   0\n"
    assert captured.err == 'Error: pods "b" not found (HTTP 404 NotFound)\n'


def test_get_of_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty list is said on standard error and is a success."""
    client = FakeClient({("GET", ALL_PODS): table(), ("GET", "/api/v1/nodes"): table()})
    assert getting.get(client, query(client, "pods")) == 0
    assert getting.get(client, query(client, "nodes")) == 0
    assert capsys.readouterr() == ("", "No resources found in default namespace.\nNo resources found\n")


def test_get_sorted_asks_for_whole_objects(capsys: pytest.CaptureFixture[str]) -> None:
    """--sort-by orders rows by a field of the objects."""
    client = FakeClient({("GET", ALL_PODS): table(row("b"), row("a"))})
    getting.get(client, query(client, "pods", sort_by=".metadata.name", show_headers=False))
    assert capsys.readouterr().out == "a   Running   0\nb   Running   0\n"
    assert client.asked[0][2]["params"] == {"includeObject": "Object"}


def test_get_names_and_jsonpath(capsys: pytest.CaptureFixture[str]) -> None:
    """-o name and -o jsonpath work on the plain objects; items get the kind that their list leaves out."""
    listing = {"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "a"}}]}
    client = FakeClient({("GET", ALL_PODS): listing})
    getting.get(client, query(client, "pods", output="name"))
    getting.get(client, query(client, "pods", output="jsonpath={.items[*].kind}"))
    assert capsys.readouterr().out == "pod/a\nPod"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pod/a", "b"], "'b': where one argument is KIND/NAME, all are; write each as KIND/NAME"),
        (["pod/"], "'pod/': where one argument is KIND/NAME, all are; write each as KIND/NAME"),
        ([], "name a kind, such as pods, or KIND/NAME; `kubinet api-resources` lists the kinds"),
    ],
)
def test_kinds_and_names_that_do_not_fit_are_refused(words: list[str], message: str) -> None:
    """Words that kubectl would not take are an error that says how to write them."""
    with pytest.raises(UsageError) as error:
        select(FakeClient({}), words)
    assert str(error.value) == message


MANIFEST = """apiVersion: v1
kind: Pod
metadata:
  name: a
spec:
  containerz: []
---
apiVersion: v1
kind: Pod
metadata: {name: b}
"""


def test_apply_names_the_line_of_the_field_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    """A refused object is shown at the line of the wrong field; the next one is applied all the same."""

    class Api(FakeClient):
        def apply(self, obj: dict[str, Any], *, dry_run: bool = False) -> Any:
            if obj["metadata"]["name"] == "a":
                raise ApiError(400, "BadRequest", 'strict decoding error: unknown field "spec.containerz"')
            return obj, "created"

    assert writing.apply(Api({}), parse_manifests(MANIFEST, "x.yaml"), namespace=None) == 1
    captured = capsys.readouterr()
    assert captured.out == "pod/b created\n"
    assert captured.err == (
        'Error: x.yaml:6 (document 1): Pod "a": strict decoding error: unknown field "spec.containerz" '
        "(HTTP 400 BadRequest)\n"
    )


def test_apply_refuses_two_namespaces() -> None:
    """A manifest's namespace and -n must agree."""
    manifest = parse_manifests("{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}}", "x.yaml")[0]
    with pytest.raises(InvalidInputError) as error:
        writing.placed(manifest, PODS, "y")
    assert str(error.value) == (
        'x.yaml:1 (document 1): the namespace of the object is "x", not "y"; leave -n away or use -n x'
    )


def test_delete_says_what_it_deleted_and_reports_the_absent(capsys: pytest.CaptureFixture[str]) -> None:
    """Each deletion is one line; an absent object is an error, or nothing with --ignore-not-found."""
    client = FakeClient({("DELETE", f"{ALL_PODS}/a"): {"kind": "Status", "details": {"uid": "1"}}})
    targets = [Target(PODS, "default", "a"), Target(PODS, "default", "b")]
    assert writing.delete(client, targets, writing.Deletion(wait=False, grace_period=0)) == 1
    assert writing.delete(client, targets, writing.Deletion(wait=False, ignore_not_found=True, only_names=True)) == 0
    captured = capsys.readouterr()
    assert captured.out == 'pod "a" deleted\npod/a\n'
    assert captured.err == 'Error: pods "b" not found (HTTP 404 NotFound)\n'
    assert client.asked[0][2]["json"]["gracePeriodSeconds"] == 0


POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "namespace": "shop", "labels": {"app": "web", "tier": "x"}, "generation": 2},
    "spec": {
        "nodeName": "n1",
        "containers": [{"name": "c", "image": "busybox", "args": ["sleep", "9"], "ports": [{"containerPort": 80}]}],
    },
    "status": {
        "phase": "Running",
        "podIP": "10.244.0.5",
        "hostIP": "172.18.0.2",
        "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "c waits"}],
        "containerStatuses": [
            {"name": "c", "ready": False, "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
             "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}}}
        ],
    },
}  # fmt: skip


POD_TEXT = """\
Name:         a
Namespace:    shop
Node:         n1/172.18.0.2
Labels:       app=web
              tier=x
Annotations:  <none>
Status:       Running
IP:           10.244.0.5
Containers:
  c:
    Container ID:  <none>
    Image:         busybox
    Ports:         80/TCP
    Args:
      sleep
      9
    State:  Waiting
      Reason:  CrashLoopBackOff
    Last State:  Terminated
      Reason:     Error
      Exit Code:  3
    Ready:          False
    Restart Count:  1
Conditions:
  Type   Status  Reason
  ----   ------  ------
  Ready  False   ContainersNotReady: c waits
Events:
  Type     Reason   Age             From   Message
  ----     ------   ---             ----   -------
  Warning  BackOff  <unknown> (x2)  agent  restarting
"""


def test_describe_pod() -> None:
    """A pod's description has node, address, container states with exit codes, conditions and events."""
    events = [
        {"metadata": {"name": "e"}, "type": "Warning", "reason": "BackOff", "message": "restarting", "count": 2,
         "source": {"component": "agent"}, "lastTimestamp": None}
    ]  # fmt: skip
    assert describe_object(POD, Related(events=events)) == POD_TEXT


def test_a_pods_events_are_not_those_of_an_earlier_pod_of_its_name() -> None:
    """Events of a pod are asked for by its uid, as kubectl does; a node's by its name, which is what they carry."""
    asked: list[str] = []

    class Api:
        def list(
            self, _kind: str, _namespace: str | None, *, field_selector: str | None, **_: object
        ) -> dict[str, Any]:
            asked.append(field_selector)
            return {"items": []}

    related_of(Api(), {"kind": "Pod", "metadata": {"name": "a", "namespace": "x", "uid": "u2"}})  # type: ignore[arg-type]
    related_of(Api(), {"kind": "Node", "metadata": {"name": "n1", "uid": "u3"}})  # type: ignore[arg-type]
    assert asked[0] == (
        "involvedObject.kind=Pod,involvedObject.name=a,involvedObject.namespace=x,involvedObject.uid=u2"
    )
    assert asked[1] == "involvedObject.kind=Node,involvedObject.name=n1"


def test_describe_network_policy_names_the_pods_it_selects() -> None:
    """A policy's description says which pods it isolates now and what it allows."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "shop"},
        "spec": {
            "podSelector": {
                "matchLabels": {"app": "web"},
                "matchExpressions": [{"key": "old", "operator": "DoesNotExist"}],
            },
            "ingress": [{"ports": [{"port": 80}], "from": [{"podSelector": {}}]}],
            "policyTypes": ["Ingress"],
        },
    }
    other = {**POD, "metadata": {"name": "b", "labels": {"app": "web", "old": "1"}}}
    text = describe_object(policy, Related(pods=[POD, other]))
    assert "  PodSelector:    app=web,old doesnotexist\n  Selected pods:  a\n" in text
    assert "    To Port: 80/TCP\n    From:\n      PodSelector: <none>\n  Not affecting egress traffic\n" in text


def test_describe_of_any_kind_shows_every_field() -> None:
    """A kind without a form of its own is shown field by field."""
    obj = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "d"},
        "data": {"app.conf": "x"},
        "binaryData": {},
    }
    text = describe_object(obj, Related())
    assert text.endswith("Data:\n  app.conf:  x\nBinary Data:  <none>\nEvents:       <none>\n")


@pytest.mark.parametrize(
    ("text", "holds", "seen"),
    [
        ("condition=Ready", False, "Ready is False (ContainersNotReady: c waits)"),
        ("condition=ready=false", True, "Ready is False (ContainersNotReady: c waits)"),
        ("condition=Absent", False, "it has no condition Absent"),
        ("jsonpath={.status.phase}=Running", True, "{.status.phase} is 'Running'"),
        ("jsonpath=.status.podIP", True, ".status.podIP is '10.244.0.5'"),
        ("jsonpath='{.status.x}'".replace("'", ""), False, "it has no {.status.x}"),
        ("delete", False, "it exists"),
        ("create", True, "it exists"),
    ],
)
def test_wait_conditions(text: str, holds: bool, seen: str) -> None:
    """`--for` says what must hold; at the deadline the error says what was seen last."""
    condition = waiting.parse_condition(text)
    assert (condition.holds(POD), condition.seen(POD)) == (holds, seen)
    assert condition.holds(None) is (text == "delete")


def test_wait_condition_of_an_older_generation_does_not_hold() -> None:
    """A condition that was observed before the last change of the spec does not count."""
    conditions = [{"type": "Ready", "status": "True", "observedGeneration": 1}]
    condition = waiting.parse_condition("condition=Ready")
    assert not condition.holds({**POD, "status": {"conditions": conditions}})


def test_wait_follows_the_watch_and_lists_again() -> None:
    """Waiting sees each version: the list, the watch's events, and the list after a watch that ended."""

    class Api(FakeClient):
        lists = 0

        def list(self, kind: str, namespace: str | None = None, **options: Any) -> Any:
            self.lists += 1
            return {"items": [] if self.lists == 1 else [POD], "metadata": {"resourceVersion": "5"}}

        def watch(self, kind: str, namespace: str | None = None, **options: Any) -> Iterator[WatchEvent]:
            if self.lists == 1:
                yield WatchEvent("BOOKMARK", {})
                yield WatchEvent("ADDED", POD)
                yield WatchEvent("DELETED", POD)
                raise ApiError(410, "Expired", "too old")

    client = Api({})
    seen = []

    def third_time(obj: Any) -> bool:
        seen.append(obj and obj["metadata"]["name"])
        return client.lists == 2

    done, last = waiting.wait_for(client, Target(PODS, "shop", "a"), third_time, None)
    assert (done, seen) == (True, [None, "a", None, "a"])
    assert last == POD
