"""Events about pods and nodes: written in the background, counted up when they repeat."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from agents.events import EventRecorder, Subject, event_name
from kubinet.client import Client
from kubinet.errors import ApiError, KubinetError

POD = Subject("Pod", "web", "uid-1", "shop", "spec.containers{main}")
NODE = Subject("Node", "n1", "n1")


class _Api(Client):
    """Keeps what it is asked to write; fails on demand."""

    def __init__(self) -> None:
        self.created: list[dict[str, Any]] = []
        self.patched: list[tuple[str, str, object, str | None]] = []
        self.refuse: Callable[[str], None] = lambda _: None

    def clone(self) -> "_Api":
        return self

    def create(self, obj: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        self.refuse("create")
        self.created.append(obj)
        return obj

    def patch(self, kind: str, name: str, patch: object, namespace: str | None = None, **_: Any) -> dict[str, Any]:
        self.refuse("patch")
        self.patched.append((kind, name, patch, namespace))
        return {}


def _tell(api: _Api, *told: tuple[Subject, str]) -> None:
    recorder = EventRecorder(api)
    for subject, message in told:
        recorder.tell(subject, "n1", "Warning", "Failed", message)
    recorder.close(10)


def test_an_event_names_container_node_and_reason() -> None:
    """A container's event refers to the pod and the container's field, and says which node tells it."""
    api = _Api()
    _tell(api, (POD, "image 'x' is not in the image table"))
    (event,) = api.created
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": "web",
        "uid": "uid-1",
        "namespace": "shop",
        "fieldPath": "spec.containers{main}",
    }
    assert event["metadata"]["namespace"] == "shop"
    assert (event["type"], event["reason"], event["count"]) == ("Warning", "Failed", 1)
    assert event["message"] == "image 'x' is not in the image table"
    assert event["source"]["host"] == "n1"
    assert event["firstTimestamp"] == event["lastTimestamp"]


def test_the_same_event_again_only_counts_up() -> None:
    """Three equal events are one object with count 3; another message is another object."""
    api = _Api()
    _tell(api, (POD, "one"), (POD, "one"), (POD, "two"), (POD, "one"))
    assert [event["message"] for event in api.created] == ["one", "two"]
    assert [patch["count"] for _, _, patch, _ in api.patched] == [2, 3]  # type: ignore[index, call-overload]
    assert {(kind, name, namespace) for kind, name, _, namespace in api.patched} == {
        ("Event", event_name(POD, "Failed", "one"), "shop")
    }


def test_an_event_that_was_deleted_is_made_again() -> None:
    """A patch answered with 404 becomes a new event."""
    api = _Api()

    def refuse(call: str) -> None:
        if call == "patch":
            raise ApiError(404, "NotFound", "events not found")

    api.refuse = refuse
    _tell(api, (POD, "one"), (POD, "one"))
    assert [event["message"] for event in api.created] == ["one", "one"]


def test_a_nodes_events_are_in_the_default_namespace() -> None:
    """Cluster-scoped objects' events live in `default`, and the reference has no namespace."""
    api = _Api()
    _tell(api, (NODE, "ovs-vswitchd ended"))
    (event,) = api.created
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["involvedObject"]


def test_a_long_message_is_cut() -> None:
    """Kubernetes refuses messages above 1024 characters: the end is replaced by an ellipsis."""
    api = _Api()
    _tell(api, (POD, "x" * 2000))
    message = api.created[0]["message"]
    assert len(message) == 1024
    assert message.endswith("x…")


def test_an_event_that_cannot_be_written_does_not_stop_the_next(caplog: pytest.LogCaptureFixture) -> None:
    """After an API that does not answer, the loss is logged and the following event is written."""
    api = _Api()
    failures = [KubinetError("the API does not answer")]

    def refuse(_: str) -> None:
        if failures:
            raise failures.pop()

    api.refuse = refuse
    _tell(api, (POD, "one"), (POD, "two"))
    assert [event["message"] for event in api.created] == ["two"]
    assert "event Failed about web is lost: the API does not answer" in caplog.text


def test_ordinary_events_wait_for_a_quiet_moment_and_a_warning_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a quiet moment of an hour a normal event is not written; a warning is at once, the earlier one before it."""
    monkeypatch.setattr("agents.events._QUIET_SECONDS", 3600.0)
    monkeypatch.setattr("agents.events._PATIENCE_SECONDS", 3600.0)
    api, written = _Api(), threading.Event()
    api.refuse = lambda _: written.set()
    recorder = EventRecorder(api)
    recorder.tell(POD, "n1", "Normal", "Started", "one")
    assert not written.wait(0.2)
    recorder.tell(POD, "n1", "Warning", "Failed", "two")
    assert written.wait(10)
    recorder.close(10)
    assert [event["message"] for event in api.created] == ["one", "two"]


def test_ordinary_events_are_written_once_it_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more is told for the quiet time: the event is written though nobody closes or hurries."""
    monkeypatch.setattr("agents.events._QUIET_SECONDS", 0.05)
    api, written = _Api(), threading.Event()
    api.refuse = lambda _: written.set()
    recorder = EventRecorder(api)
    recorder.tell(POD, "n1", "Normal", "Started", "one")
    assert written.wait(10)
    recorder.close(10)
    assert [event["message"] for event in api.created] == ["one"]


def test_ordinary_events_wait_no_longer_than_their_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it never gets quiet, an event is written when its patience has ended."""
    monkeypatch.setattr("agents.events._QUIET_SECONDS", 3600.0)
    monkeypatch.setattr("agents.events._PATIENCE_SECONDS", 0.05)
    api, written = _Api(), threading.Event()
    api.refuse = lambda _: written.set()
    recorder = EventRecorder(api)
    recorder.tell(POD, "n1", "Normal", "Started", "one")
    assert written.wait(10)
    recorder.close(10)
    assert [event["message"] for event in api.created] == ["one"]
