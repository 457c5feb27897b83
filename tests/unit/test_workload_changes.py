"""When `policy-enforcement` makes its change, and that an `outage` outlives its servers."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from experiments.workloads import convergence, outage
from experiments.workloads.convergence import POLICY_ENFORCEMENT, change_during
from experiments.workloads.outage import OUTAGE
from experiments.workloads.streams import stream

SETTINGS: dict[str, Any] = {"from": "pod/a", "to": "pod/b", "after_s": 0.05, "at_s": 0.0, "seconds": 3.0}


def played(monkeypatch: pytest.MonkeyPatch, *, start_s: float, **settings: Any) -> tuple[float, float]:
    """After how many seconds of the run the change was made, and for how long the stream was ordered."""
    scene: Any = SimpleNamespace(started_s=time.time())
    ordered: list[float] = []

    @contextmanager
    def streaming(_scene: Any, _settings: Any, seconds: float, _mortal: Any = ()) -> Iterator[Any]:
        ordered.append(seconds)
        time.sleep(start_s)
        sent = [time.time(), time.time() + 10]
        arrivals = {"pod/b": [[0, round(sent[0] * 1e9), round(sent[0] * 1e9) + 1]]}
        yield SimpleNamespace(finish=lambda: stream(sent, arrivals))

    monkeypatch.setattr(convergence, "streaming", streaming)
    _, began, _ = change_during(scene, SETTINGS | settings, lambda: None)
    return began - scene.started_s, ordered[0]


def test_a_change_comes_at_a_time_of_the_timeline(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long programs took to start; what the stream has left after it is as ordered."""
    made, ordered = played(monkeypatch, start_s=0.2, at_s=0.5)
    assert 0.5 <= made < 5
    assert ordered == pytest.approx(3.5, abs=0.3)


def test_a_change_without_a_time_follows_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """So does one whose time has passed when the programs have started."""
    for at_s in (0.0, 0.1):
        made, _ = played(monkeypatch, start_s=0.3, at_s=at_s)
        assert 0.35 <= made < 5


def test_the_announced_time_holds_the_wait_for_the_change() -> None:
    """A change eight seconds after the start with three seconds of stream behind it takes eleven."""
    assert POLICY_ENFORCEMENT.duration_s(SETTINGS | {"at_s": 8.0}) == 11.0


def test_an_outage_goes_on_when_a_server_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its servers may end with its node."""
    mortals: list[Any] = []

    @contextmanager
    def streaming(_scene: Any, _settings: Any, _seconds: float, mortal: Any = ()) -> Iterator[Any]:
        mortals.append(mortal)
        yield SimpleNamespace(finish=lambda: stream([1.0, 2.0], {"pod/b": [], "pod/c": []}))

    monkeypatch.setattr(outage, "streaming", streaming)
    scene: Any = SimpleNamespace(started_s=0.0, record=lambda readings: None)
    OUTAGE.run(scene, {"from": "pod/a", "to": "service/w:1", "servers": "pod/b, pod/c", "seconds": 1.0, "least": 1})
    assert mortals == [("pod/b", "pod/c")]
