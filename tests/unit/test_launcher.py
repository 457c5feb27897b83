"""Clusters as the host sees them: names, state folders, kubeconfig."""

import errno
import json
import os
import socket
from pathlib import Path

import pytest

from kubinet import launcher
from kubinet.errors import KubinetError, UsageError
from kubinet.launcher import ClusterInfo, Request
from kubinet.sandbox import FirstProcess, inside, process_start_time


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def _store(name: str, pid: int, started: int) -> ClusterInfo:
    state_dir = launcher.clusters_dir() / name
    state_dir.mkdir(parents=True)
    info = ClusterInfo(name, FirstProcess(pid, started), 40000, "secret", 2, 1.0, {"api": 0.5}, state_dir)
    (state_dir / "cluster.json").write_text(json.dumps(launcher._to_json(info)))
    return info


def test_a_cluster_is_alive_only_while_its_own_first_process_is() -> None:
    """A pid that the kernel gave to another process does not make a dead cluster look alive."""
    started = process_start_time(os.getpid())
    assert started is not None
    alive = _store("alive", os.getpid(), started)
    reused = _store("reused", os.getpid(), started - 1)
    assert launcher.find("alive") == alive
    assert [(one.name, one.alive) for one in launcher.list_clusters()] == [("alive", True), ("reused", False)]
    assert reused.alive is False


def test_an_unknown_cluster_is_an_error_that_names_those_that_run() -> None:
    """The message helps with a mistyped name."""
    with pytest.raises(UsageError, match="cluster 'x' is not running; none is running; start one with `kubinet up`"):
        launcher.find("x")
    started = process_start_time(os.getpid())
    _store("lab", os.getpid(), started or 0)
    with pytest.raises(UsageError, match="cluster 'x' is not running; running: lab"):
        launcher.find("x")


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "a.b", "x" * 41, "ä"])
def test_names_that_cannot_be_folders_and_contexts_are_refused(name: str) -> None:
    """Cluster names are DNS labels of at most 40 characters."""
    with pytest.raises(UsageError, match="cluster name"):
        launcher.start(Request(name=name))


def test_a_port_in_use_is_an_error_that_says_what_to_do() -> None:
    """The API's port is tried before anything else is made."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(KubinetError, match=f"port {port}: Address already in use; choose another --api-port"):
            launcher._listen(port)


def test_kubeconfig_names_the_cluster_its_authority_and_its_token() -> None:
    """kubectl can use the document as it is."""
    info = _store("lab", 1, 1)
    config = json.loads(info.kubeconfig())
    assert config["current-context"] == "kubinet-lab"
    assert config["clusters"][0]["cluster"] == {
        "server": "https://127.0.0.1:40000",
        "certificate-authority": str(info.state_dir / "pki" / "ca.crt"),
    }
    assert config["users"][0]["user"] == {"token": "secret"}


@pytest.mark.parametrize("folder", ["/run/user/1000", "/proc/state", "/sys"])
def test_a_state_folder_that_the_sandbox_would_not_see_is_refused(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made: the sandbox mounts file systems of its own there."""
    monkeypatch.setenv("XDG_STATE_HOME", folder)
    with pytest.raises(UsageError, match=r"state folder .* set XDG_STATE_HOME to another place"):
        launcher.start(Request(name="a"))


def test_two_starts_of_one_name_at_a_time_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the second takes the first one's folder away. The lock's file goes, and does not count if it was left."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = launcher.clusters_dir()
    with launcher._alone(folder / "a"), pytest.raises(KubinetError, match="'a' is being started by another command"):
        launcher.start(Request(topology="single", name="a"))
    assert list(folder.iterdir()) == []
    (folder / ".a.starting").touch()
    with launcher._alone(folder / "a"):
        pass
    assert list(folder.iterdir()) == []


def test_a_full_disk_at_the_start_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says where and what to do; nothing of the cluster is left, so `kubinet ls` does not show it."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(launcher, "_write_private", full)
    with pytest.raises(KubinetError, match=r"state folder .*/a: No space left on device; free space or set XDG_STATE"):
        launcher.start(Request(topology="single", name="a"))
    assert list((tmp_path / "kubinet" / "clusters").iterdir()) == []


def test_a_cluster_that_cannot_be_recorded_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that gets full while it starts: the sandbox ends, because nobody could find it later."""
    ended: list[object] = []

    def full(path: Path, text: str) -> None:
        if path.name == "cluster.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_text(text)

    first = object()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(launcher, "launch", lambda *_, **__: first)
    monkeypatch.setattr(launcher, "_follow", lambda *_: {})
    monkeypatch.setattr(launcher, "_to_json", lambda _: {})
    monkeypatch.setattr(launcher, "_end", ended.append)
    monkeypatch.setattr(launcher, "_write_private", full)
    with pytest.raises(KubinetError, match="No space left on device"):
        launcher.start(Request(topology="single", name="a"))
    assert ended == [first]


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (
            "2026-11-26 03:08:11,000 INFO underlay: trying\n2026-11-26 03:08:12,000 ERROR underlay: no /dev/net/tun\n",
            "no /dev/net/tun",
        ),
        (
            "2026-11-26 03:08:12,000 ERROR underlay: service underlay failed\nTraceback (most recent call last):\n"
            "ValueError: x\n",
            "service underlay ended with status 1 while starting:\n"
            "  2026-11-26 03:08:12,000 ERROR underlay: service underlay failed\n"
            "  Traceback (most recent call last):\n  ValueError: x",
        ),
        (None, "service underlay ended with status 1 while starting:\n  (it wrote no log)"),
    ],
)
def test_a_service_that_knew_what_was_wrong_is_quoted(tmp_path: Path, log: str | None, words: str) -> None:
    """Its own words where it ended with an error of ours; the end of its log after a defect."""
    path = tmp_path / "underlay.log"
    if log is not None:
        path.write_text(log)
    assert launcher._why_died({"service": "underlay", "exit_code": 1, "log": str(path)}) == words


def test_administrators_programs_are_found_in_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH without sbin, as ordinary users of Debian have, is completed; a complete one is left alone."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert inside(7, ["tc"])[-3:] == ["env", "PATH=/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin", "tc"]
    monkeypatch.setenv("PATH", "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin")
    assert inside(7, ["tc"])[-2:] == ["--", "tc"]
