"""Workloads and measurements by kind, and their settings."""

import pytest
from designs import IPERF, PING, PROCESSES, Plugin

from experiments.base import Parameter
from experiments.design.model import Settings
from experiments.plugins import Kinds, SettingError, complete, labels_of
from kubinet.errors import UsageError

KINDS: Kinds[Plugin] = Kinds("kubinet.test.nothing", "workload")


def test_an_object_of_the_experiments_own_is_a_kind() -> None:
    """`module:object` is imported; a class is made an instance of."""
    assert "designs:PING" in KINDS
    assert KINDS["designs:PING"] is PING
    assert isinstance(KINDS["designs:Plugin"], Plugin)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("pong", "there is no workload 'pong'; there are: none (`make env` installs Kubinet with its own)"),
        ("designs:PONG", "workload 'designs:PONG' cannot be loaded: module 'designs' has no attribute 'PONG'; "
         "write MODULE:OBJECT of an importable module"),
        ("nowhere:x", "workload 'nowhere:x' cannot be loaded: No module named 'nowhere'; write MODULE:OBJECT of an "
         "importable module"),
    ],
)  # fmt: skip
def test_a_kind_that_does_not_exist_is_refused(kind: str, message: str) -> None:
    """The message names what there is, or why it cannot be had."""
    with pytest.raises(UsageError) as caught:
        KINDS[kind]
    assert str(caught.value) == message


def test_settings_are_completed_with_defaults() -> None:
    """What an experiment does not set has the plug-in's default; a whole number is a number."""
    assert complete(PING, {"from": "a", "to": "b"}) == {"from": "a", "to": "b", "count": 10}
    completed = complete(IPERF, {"to": "b", "seconds": 3})
    assert completed == {"from": "", "to": "b", "seconds": 3.0}
    assert type(completed["seconds"]) is float


@pytest.mark.parametrize(
    ("settings", "field", "message"),
    [
        ({"to": "b"}, "from", "field 'from' is missing: where it starts"),
        ({"from": "a", "to": ""}, "to", "field 'to' is missing: where it goes"),
        ({"from": "a", "to": "b", "cuont": 1}, "cuont", "unknown field 'cuont'; known: from, to, count"),
        ({"from": "a", "to": "b", "count": 1.5}, "count", "parameter 'count': 1.5 is not a whole number"),
        ({"from": "a", "to": "b", "count": 0}, "count", "parameter 'count': 0 is below its minimum 1"),
    ],
)
def test_settings_that_a_plugin_does_not_take_are_refused(settings: Settings, field: str, message: str) -> None:
    """The error knows the field."""
    with pytest.raises(SettingError) as caught:
        complete(PING, settings)
    assert (caught.value.field, str(caught.value)) == (field, message)


def test_labels_are_what_a_plugin_declares() -> None:
    """A plug-in may say which labels its readings have; one that says nothing has none."""

    class Bare:
        parameters = (Parameter("x", 1, 1, "a number"),)

    assert labels_of(IPERF) == ("stream",)
    assert labels_of(PROCESSES) == ()
    assert labels_of(Bare()) == ()  # type: ignore[arg-type]
