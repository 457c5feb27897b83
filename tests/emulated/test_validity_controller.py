"""The verdict proves itself on the controller: one that is slowed down, stopped or killed on purpose is named."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from experiments.records import Verdict
from experiments.validity.answers import Answer
from experiments.validity.watch import CONTROLLER, RunWatch
from kubinet.cluster import Cluster

pytestmark = [pytest.mark.emulated, pytest.mark.alone]

IN_TURNS = """
import os, signal, sys, time
pid, stopped, runs, seconds = int(sys.argv[1]), *map(float, sys.argv[2:])
end = time.monotonic() + seconds
try:
    while time.monotonic() < end:
        os.kill(pid, signal.SIGSTOP)
        print(flush=True)
        time.sleep(stopped)
        os.kill(pid, signal.SIGCONT)
        time.sleep(runs)
finally:
    os.kill(pid, signal.SIGCONT)
"""
"""Lets a process run only in turns: pid, seconds stopped, seconds running, seconds in all."""
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
def _in_turns(cluster: Cluster, *, stopped: float, runs: float, seconds: float) -> Iterator[None]:
    """The controller runs in turns for so many seconds; entered when it is stopped first."""
    argv = [sys.executable, "-I", "-S", "-c", IN_TURNS, str(_pid(cluster)), str(stopped), str(runs), str(seconds)]
    slowing = cluster.node("n1").popen(argv, stdout=subprocess.PIPE)
    with slowing:
        assert slowing.stdout is not None
        slowing.stdout.readline()
        yield
        slowing.communicate(timeout=seconds + 30)


def _of_controller(watch: RunWatch) -> list[str]:
    return [reason for reason in watch.assessment.reasons if reason.startswith("the controller ")]


def _answers(watch: RunWatch) -> list[Answer]:
    return [answer for sample in watch.samples for answer in sample.answers]


def test_a_controller_that_answers_is_no_reason(cluster: Cluster) -> None:
    """Three seconds in which a Service comes and goes: a dozen echoes are answered, and nothing is said."""
    with RunWatch(cluster, rated_links=0, measured_links=0) as watch:
        cluster.apply(SERVICE)
        time.sleep(1.5)
        cluster.delete(SERVICE)
        time.sleep(1.5)
    assert _of_controller(watch) == []
    assert len(_answers(watch)) >= 8
    assert {answer.pid for answer in _answers(watch)} == {_pid(cluster)}


def test_a_slow_controller_is_named(cluster: Cluster) -> None:
    """It runs a tenth of the time, never 0.5 s away: most echoes wait over 0.2 s, though nothing changes in the API."""
    with (
        RunWatch(cluster, rated_links=0, measured_links=0) as watch,
        _in_turns(cluster, stopped=0.45, runs=0.05, seconds=4),
    ):
        pass
    (reason,) = _of_controller(watch)
    late = sum(one.waited_s - one.computed_s > 0.2 for one in _answers(watch))
    assert reason == f"the controller was slow: {late} of {len(_answers(watch))} echoes waited more than 0.2 s"
    assert watch.assessment.verdict is not Verdict.VALID


def test_a_controller_that_stands_still_once_is_named(cluster: Cluster) -> None:
    """1.6 s without the controller in a run of more than eight: one echo waits for it."""
    with RunWatch(cluster, rated_links=0, measured_links=0) as watch:
        time.sleep(2.5)
        with _in_turns(cluster, stopped=1.6, runs=0.0, seconds=0.1):
            pass
        time.sleep(4.0)
    (reason,) = _of_controller(watch)
    assert reason.startswith("the controller stood still: it computed 0.0 s while an echo waited 1.")
    assert watch.assessment.verdict is not Verdict.VALID


def test_a_controller_that_does_not_answer_at_the_end_is_named(cluster: Cluster) -> None:
    """The wait that the end of the run cuts off counts as long as it was."""
    with _in_turns(cluster, stopped=6.0, runs=0.0, seconds=0.1):
        with RunWatch(cluster, rated_links=0, measured_links=0) as watch:
            time.sleep(2.0)
    assert any(reason.startswith("the controller stood still") for reason in _of_controller(watch))


def test_a_change_that_waits_for_a_slow_controller_is_named(cluster: Cluster) -> None:
    """It runs every seven seconds only: a new Service waits longer than 5 s for the nodes' flows."""
    with (
        RunWatch(cluster, rated_links=0, measured_links=0) as watch,
        _in_turns(cluster, stopped=7.0, runs=0.01, seconds=6),
    ):
        cluster.apply(SERVICE)
    cluster.delete(SERVICE)
    behind = [
        words for words in _of_controller(watch) if words.startswith("the controller was behind: a change waited ")
    ]
    assert len(behind) == 1
    assert float(behind[0].split()[7]) > 5


def test_a_controller_that_was_started_again_is_named(cluster: Cluster) -> None:
    """It is killed, and the supervisor starts another one."""
    before = _pid(cluster)
    with RunWatch(cluster, rated_links=0, measured_links=0) as watch:
        time.sleep(1.0)
        cluster.run(["kill", "-KILL", str(before)])
        cluster.apply(SERVICE)
        cluster.wait_realised()  # by the new one
        time.sleep(1.0)
    cluster.delete(SERVICE)
    assert _pid(cluster) != before
    assert "the controller was started again during the run" in _of_controller(watch)


def test_a_controller_that_a_timeline_disturbs_is_excused(cluster: Cluster) -> None:
    """What is meant is no reason."""
    with (
        RunWatch(cluster, rated_links=0, measured_links=0) as watch,
        _in_turns(cluster, stopped=1.5, runs=0.0, seconds=0.1),
    ):
        watch.excuse(CONTROLLER)
    assert _of_controller(watch) == []
