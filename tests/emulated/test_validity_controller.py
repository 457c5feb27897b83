"""The verdict proves itself on the controller: one that is slowed down, stopped or killed on purpose is named."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from stalls import running_time

from experiments.records import Verdict
from experiments.validity.answers import Answer
from experiments.validity.machine import assess_machine
from experiments.validity.watch import CONTROLLER, RunWatch
from kubinet.cluster import Cluster

pytestmark = [pytest.mark.emulated, pytest.mark.alone]

NAP = 0.05
"""Seconds. Spans here are a number of naps, so that one in which the machine stood still counts as one."""
IN_TURNS = """
import os, signal, sys, time
pid, turns = map(int, sys.argv[1:])
try:
    for _ in range(turns):
        os.kill(pid, signal.SIGSTOP)
        for _ in range(9):
            time.sleep(0.05)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.05)
finally:
    os.kill(pid, signal.SIGCONT)
"""
"""Lets a process run a tenth of the time, for so many turns of half a second."""
SERVICE = "{apiVersion: v1, kind: Service, metadata: {name: new}, spec: {ports: [{port: 80}]}}\n"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes at one switch."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with Cluster("star", nodes=2, settings={"rate": "", "network.dnsReplicas": 0}) as running:
            yield running


def _pid(cluster: Cluster) -> int:
    """The controller's, in the sandbox's numbering."""
    return int(json.loads((cluster.info.state_dir / "services.json").read_text())["controller"]["pid"])


@contextmanager
def _stopped(cluster: Cluster) -> Iterator[None]:
    """The controller does not run meanwhile."""
    pid = str(_pid(cluster))
    cluster.run(["kill", "-STOP", pid])
    try:
        yield
    finally:
        cluster.run(["kill", "-CONT", pid])


def _naps(seconds: float) -> None:
    for _ in range(round(seconds / NAP)):
        time.sleep(NAP)


def _until(holds: Callable[[], bool]) -> None:
    """Half a minute, at most, in which the machine runs."""
    began = running_time()
    while not holds():
        assert running_time() - began < 30, "half a minute has passed"


def _of_controller(watch: RunWatch) -> list[str]:
    return [reason for reason in watch.assessment.reasons if reason.startswith(("the controller ", "the controller's"))]


def _standstills(watch: RunWatch) -> list[str]:
    return [reason for reason in _of_controller(watch) if reason.startswith("the controller stood still: it computed ")]


def _answers(watch: RunWatch) -> list[Answer]:
    return [answer for sample in watch.samples for answer in sample.answers]


def test_a_controller_that_answers_is_no_reason(cluster: Cluster) -> None:
    """A dozen echoes are answered while a Service comes and goes, and nothing is said.

    On a machine that other work keeps busy the controller may be late as well: that is tried again.
    """
    for _ in range(3):
        with RunWatch(cluster, rated_links=0, measured_links=0) as watch:
            cluster.apply(SERVICE)
            _until(lambda: len(_answers(watch)) >= 6)
            cluster.delete(SERVICE)
            _until(lambda: len(_answers(watch)) >= 12)
        assert {answer.pid for answer in _answers(watch)} == {_pid(cluster)}
        if not _of_controller(watch):
            return
        assert assess_machine(watch.seconds).verdict is not Verdict.VALID, _of_controller(watch)
    pytest.skip(f"the machine is busy with other work: {'; '.join(watch.assessment.reasons)}")


def test_a_slow_controller_is_named(cluster: Cluster) -> None:
    """It runs a tenth of the time: most echoes wait over 0.2 s, though nothing changes in the API."""
    argv = [sys.executable, "-I", "-S", "-c", IN_TURNS, str(_pid(cluster)), "8"]
    with RunWatch(cluster, rated_links=0, measured_links=0) as watch:
        cluster.node("n1").exec(argv)
    late = sum(one.waited_s - one.computed_s - one.late_s > 0.2 for one in _answers(watch))
    reason = f"the controller was slow: {late} of {len(_answers(watch))} echoes waited more than 0.2 s"
    assert reason in _of_controller(watch)
    assert watch.assessment.verdict is not Verdict.VALID


def test_a_controller_that_stands_still_once_is_named(cluster: Cluster) -> None:
    """1.6 s without the controller: the one echo that waits for it is enough."""
    with RunWatch(cluster, rated_links=0, measured_links=0) as watch:
        _naps(0.6)
        with _stopped(cluster):
            _naps(1.6)
        _naps(0.6)
    (reason,) = _standstills(watch)
    assert float(reason.split()[-2]) > 1
    assert watch.assessment.verdict is not Verdict.VALID


def test_a_controller_that_does_not_answer_at_the_end_is_named(cluster: Cluster) -> None:
    """The wait that the end of the run cuts off counts as long as it was."""
    with _stopped(cluster), RunWatch(cluster, rated_links=0, measured_links=0) as watch:
        _naps(2.0)
    assert len(_standstills(watch)) == 1


def test_a_change_that_waits_for_a_slow_controller_is_named(cluster: Cluster) -> None:
    """It does not run for more than seven seconds: a new Service waits longer than 5 s for the nodes' flows."""
    with RunWatch(cluster, rated_links=0, measured_links=0) as watch:
        with _stopped(cluster):
            cluster.apply(SERVICE)
            _naps(8.0)
        cluster.wait_realised()
    cluster.delete(SERVICE)
    behind = [
        words for words in _of_controller(watch) if words.startswith("the controller was behind: a change waited ")
    ]
    assert len(behind) == 1
    assert float(behind[0].split()[7]) >= 5  # told with one decimal


def test_a_controller_that_was_started_again_is_named(cluster: Cluster) -> None:
    """It is killed, and the supervisor starts another one."""
    before = _pid(cluster)
    with RunWatch(cluster, rated_links=0, measured_links=0) as watch:
        _until(lambda: bool(_answers(watch)))
        cluster.run(["kill", "-KILL", str(before)])
        cluster.apply(SERVICE)
        cluster.wait_realised()  # by the new one
        _until(lambda: {answer.pid for answer in _answers(watch)} - {before} != set())
    cluster.delete(SERVICE)
    assert _pid(cluster) != before
    assert "the controller was started again during the run" in _of_controller(watch)


def test_a_controller_that_a_timeline_disturbs_is_excused(cluster: Cluster) -> None:
    """What is meant is no reason."""
    with RunWatch(cluster, rated_links=0, measured_links=0) as watch:
        with _stopped(cluster):
            _naps(1.5)
        watch.excuse(CONTROLLER)
    assert _of_controller(watch) == []
