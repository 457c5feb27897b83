"""kubectl's streams: logs, exec over WebSocket and SPDY, and our own client's exec."""

import subprocess
from collections.abc import Callable

import pytest

pytestmark = [pytest.mark.client, pytest.mark.timeout(120)]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


def test_logs(kubectl: Kubectl, running_pod: str) -> None:
    """Logs are whole lines of both streams; tail and timestamps work; a missing previous run is an error."""
    assert kubectl("logs", running_pod).stdout == "first\nsecond\nthird\n"
    assert kubectl("logs", running_pod, "--tail=1").stdout == "third\n"
    assert kubectl("logs", running_pod, "--timestamps", "--tail=1").stdout == "2026-01-01T00:00:02.000000004Z third\n"
    assert kubectl("logs", running_pod, "--limit-bytes=7").stdout == "first\ns"
    assert kubectl("logs", running_pod, "--since=10s").stdout == ""
    assert "previous terminated container" in kubectl("logs", running_pod, "--previous", code=1).stderr
    assert "is not valid for pod" in kubectl("logs", running_pod, "-c", "other", code=1).stderr


@pytest.mark.parametrize("version", ["kubectl", "old_kubectl"])
def test_exec(version: str, running_pod: str, request: pytest.FixtureRequest) -> None:
    """exec passes output, stdin and the exit status: over WebSocket with 1.32, over SPDY with 1.29."""
    kubectl: Kubectl = request.getfixturevalue(version)
    done = kubectl("exec", running_pod, "--", "sh", "-c", "echo out; echo err >&2; exit 7", code=7)
    assert (done.stdout, done.stderr.splitlines()[0]) == ("out\n", "err")
    assert kubectl("exec", "-i", running_pod, "--", "cat", stdin="through stdin").stdout == "through stdin"
    size = 3_000_000
    counted = kubectl("exec", "-i", running_pod, "--", "wc", "-c", stdin="x" * size).stdout
    assert counted.strip() == str(size)
    long = kubectl("exec", running_pod, "--", "head", "-c", str(size), "/dev/zero").stdout
    assert len(long) == size
    missing = kubectl("exec", running_pod, "--", "/no/such/program", code=1)
    assert "No such file or directory" in missing.stderr


@pytest.mark.parametrize("version", ["kubectl", "old_kubectl"])
def test_exec_on_a_terminal(version: str, running_pod: str, request: pytest.FixtureRequest) -> None:
    """With -t the program is on a terminal that gets the size of the client's, and its exit status comes back."""
    kubectl: Kubectl = request.getfixturevalue(version)
    script = 'until [ "$(stty size)" = "33 77" ]; do sleep 0.05; done; test -t 1 && stty size; exit 3'
    done = kubectl("exec", "-it", running_pod, "--", "sh", "-c", script, code=3, terminal=True)
    assert "33 77\n" in done.stdout


def test_debug(kubectl: Kubectl, running_pod: str) -> None:
    """kubectl debug is told that there are no ephemeral containers."""
    refused = kubectl("debug", running_pod, "--image=busybox", "--profile=general", code=1).stderr
    assert "ephemeral containers are disabled for this cluster" in refused


def test_exec_of_a_missing_pod(kubectl: Kubectl) -> None:
    """exec into a pod that is not there says so."""
    assert 'pods "absent" not found' in kubectl("exec", "absent", "--", "true", code=1).stderr
