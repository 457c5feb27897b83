"""Workers by SSH: an SSH server at 127.0.0.1 plays the hosts, with everything real but the clusters."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sessions import TOOLS, Heard, new, orders_folder, session, state, table, wait

from experiments.design.model import PlannedRun
from experiments.engine.run import RunOutcome
from experiments.engine.session import Manner, carry_out_session
from experiments.engine.telling import Follower
from experiments.engine.workerchoice import parse_workers
from kubinet.errors import KubinetError

pytest.importorskip("distributed")
pytest.importorskip("asyncssh")

from sshserver import SSHServer

from experiments.engine import ssh
from experiments.engine.fingerprint import fingerprint
from experiments.engine.sshconnect import JumpHost, connect, connect_options, jump_hosts
from experiments.engine.sshmessages import MARK, Hello, Listening, to_line
from kubinet.version import __version__


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder whose files the dice obey."""
    return orders_folder(tmp_path, monkeypatch)


@pytest.fixture
def server(tmp_path: Path, orders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SSHServer]:
    """Hosts alpha and beta, in a home of their own."""
    home = tmp_path / "home"
    with SSHServer(home, ("alpha", "beta")) as running:
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        yield running


def manner(text: str) -> Manner:
    return Manner(workers=parse_workers(text), tools=TOOLS)


def refused(tmp_path: Path, text: str) -> str:
    """What a session with these workers says when it does not begin."""
    folder = new(tmp_path)
    with pytest.raises(KubinetError) as caught:
        session(folder, manner(text))
    assert (state(folder.path)["state"], state(folder.path)["why"]) == ("failed", str(caught.value))
    return str(caught.value)


def descendants(pid: int) -> list[int]:
    """A process and all that it has started."""
    children: list[str] = []
    with contextlib.suppress(OSError):  # it has ended
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            children += path.read_text().split()
    return [pid, *(one for child in children for one in descendants(int(child)))]


def told(server: SSHServer) -> str:
    """Command lines, which everyone can read, and environments, which children have, of what runs on the hosts."""
    found = []
    for pid in (one for process in server.processes for one in descendants(process.pid)):
        for name in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                found.append(Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return "\n".join(found)


@pytest.mark.slow
def test_workers_of_two_hosts_fill_the_same_results_folder(tmp_path: Path, orders: Path, server: SSHServer) -> None:
    """The same table as one run after the other; no command line or environment has a secret; both programs end."""
    whole, spread, heard = new(tmp_path / "a"), new(tmp_path / "b"), Heard()
    session(whole)
    (orders / "0001").write_text("wait")
    seen: list[str] = []

    def look() -> None:
        wait((orders / "0001.waits").exists)
        seen.append(told(server))
        (orders / "0001").unlink()

    looker = threading.Thread(target=look)
    looker.start()
    end = session(spread, manner("ssh:alpha,beta"), heard)
    looker.join()
    assert end.state == "complete", end.why
    assert table(spread.path) == table(whole.path)
    assert heard.lines[0] == "starting workers by SSH: alpha, beta"
    assert any(line.endswith(": workload throw") for line in heard.lines)
    assert server.commands == [f"exec {sys.executable} -P -m experiments.engine.sshworker"] * 2
    assert seen[0].count("-m experiments.engine.sshworker") == 2
    assert "PRIVATE KEY" not in seen[0]
    assert [process.returncode for process in server.processes] == [0, 0]
    assert list((server.home / "tmp").iterdir()) == []


@pytest.mark.slow
def test_worker_that_dies_is_a_failed_run(tmp_path: Path, orders: Path, server: SSHServer) -> None:
    """The run is tried again on the host that is left."""
    folder = new(tmp_path)
    (orders / "0000").write_text("wait")

    def kill() -> None:
        wait((orders / "0000.waits").exists)
        wait((folder.path / "runs" / "0005" / "run.json").exists)  # the other host does the rest
        busy = [one for one in server.processes if len(descendants(one.pid)) > 1]
        for one in busy:
            one.send_signal(signal.SIGKILL)
        (orders / "0000").unlink()

    killer = threading.Thread(target=kill)
    killer.start()
    end = session(folder, manner("ssh:alpha,beta"))
    killer.join()
    assert end.state == "complete", end.why
    error = json.loads((folder.path / "failed/0000-1/run.json").read_text())["error"]
    assert error.startswith("run 0: ")
    assert "alpha" in error or "beta" in error


@pytest.mark.slow
def test_host_that_is_left_has_one_run_at_a_time(tmp_path: Path, orders: Path, server: SSHServer) -> None:
    """After a host's death no run begins before the other's has ended: it would be held for one that runs."""
    folder = new(tmp_path)
    for run in ("0000", "0001"):
        (orders / run).write_text("wait")
    going: list[int] = []
    most: list[int] = []

    class Counts(Follower):
        def started(self, run: PlannedRun) -> None:
            going.append(run.index)
            most.append(len(going))

        def ended(self, run: PlannedRun, outcome: RunOutcome) -> None:
            going.remove(run.index)
            if outcome.error:
                most.clear()
                for name in ("0000", "0001"):
                    (orders / name).unlink()

    def kill() -> None:
        for run in ("0000", "0001"):
            wait((orders / f"{run}.waits").exists)
        server.processes[0].send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        carry_out_session(folder, manner("ssh:alpha,beta"), Counts(), [])
    finally:
        folder.release()
    killer.join()
    assert set(most) == {1}


@pytest.mark.slow
def test_session_without_a_worker_left_ends_and_says_so(tmp_path: Path, orders: Path, server: SSHServer) -> None:
    """It does not wait for ever; what is complete stays for --resume."""
    folder = new(tmp_path)
    (orders / "0002").write_text("wait")

    def kill() -> None:
        wait((orders / "0002.waits").exists)
        for one in server.processes:
            one.send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(KubinetError, match="no worker is left: host alpha: ") as caught:
        session(folder, manner("ssh:alpha"))
    killer.join()
    assert state(folder.path)["why"] == str(caught.value)
    assert (folder.path / "runs/0001/run.json").exists()


SCRIPT = """
import sys
from pathlib import Path
from fakeexperiments import design
from experiments.design.plan import plan
from experiments.engine.folder import ResultsFolder
from experiments.engine.workerchoice import parse_workers
from experiments.engine.session import Manner, carry_out_session
from experiments.engine.telling import Follower
made = design()
folder = ResultsFolder.create(Path(sys.argv[1]), made, plan(made), implementation="", name="dice")
carry_out_session(folder, Manner(workers=parse_workers("ssh:alpha"), tools="fakeexperiments:TOOLS"), Follower(), [])
"""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "left"), [("SIGKILL", "running"), ("SIGINT", "interrupted")])
def test_nothing_is_left_on_a_host_when_the_session_is_ended(
    tmp_path: Path, orders: Path, server: SSHServer, number: str, left: str
) -> None:
    """kill -9 or ctrl-C here: the worker there ends and takes its run's cluster down."""
    (orders / "0001").write_text("wait")
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path / "results")]) as process:
        try:
            wait((orders / "0001.waits").exists)
            assert len(list((orders / "up").iterdir())) == 1
            process.send_signal(signal.Signals[number])
            assert process.wait(60) != 0
        finally:
            process.kill()
    (path,) = (tmp_path / "results").iterdir()
    assert state(path)["state"] == left
    wait(lambda: server.processes[0].returncode is not None)
    wait(lambda: not any((orders / "up").iterdir()))
    assert list((server.home / "tmp").iterdir()) == []


@pytest.mark.slow
def test_host_that_refuses_is_named(tmp_path: Path, server: SSHServer) -> None:
    """A closed port: the other host's worker does not stay."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server.configure(server.host("alpha") + server.host("beta", port=taken.getsockname()[1]))
        words = refused(tmp_path, "ssh:alpha,beta")
    assert words.startswith("host beta: no SSH connection (")
    assert "see whether `ssh beta true` works" in words
    assert [process.returncode for process in server.processes] == [0]


@pytest.mark.slow
def test_every_host_that_cannot_be_used_is_named(tmp_path: Path, server: SSHServer) -> None:
    """An unknown host key, a key that the host does not take, and what to do about either."""
    (server.ssh / "empty").touch()
    server.key("id_other")
    server.configure(server.host("alpha", known="empty") + server.host("beta", identity="id_other"))
    words = refused(tmp_path, "ssh:alpha,beta")
    assert "host alpha: its host key is unknown or is not the known one (" in words
    assert "host beta: permission denied (" in words
    assert "ssh-copy-id beta" in words
    assert server.commands == []


@pytest.mark.slow
@pytest.mark.parametrize("python", ["/nowhere/python", "/usr/bin/python3"])
def test_host_without_kubinet_is_refused_with_the_program(tmp_path: Path, server: SSHServer, python: str) -> None:
    """No such program, or a Python that has no Kubinet."""
    words = refused(tmp_path, f"ssh:alpha,python={python}")
    assert words.startswith(f"host alpha: no Kubinet there: {python} -m experiments.engine.sshworker does not run (")
    assert words.endswith("or name its Python: --workers ssh:HOST,…,python=/path/to/.venv/bin/python")


def program(server: SSHServer, *messages: object) -> Path:
    """A program that greets as some login shells do, says that, and waits for the end of its input."""
    path = server.home / "program"
    lines = "".join(f"echo '{MARK}{to_line(message).strip()}'\n" for message in messages)
    path.write_text(f"#!/bin/sh\necho Welcome\n{lines}echo it is slow >&2\ncat > {server.home / 'heard'}\n")
    path.chmod(0o755)
    return path


@pytest.mark.slow
def test_another_kubinet_is_refused_before_it_hears_a_secret(tmp_path: Path, server: SSHServer) -> None:
    """Runs of one results folder come from one program."""
    there = program(server, Hello("0.0.9", "abcdef012345", "2026.8.0", 4e9))
    words = refused(tmp_path, f"ssh:alpha,python={there}")
    assert words == (
        f"host alpha: another Kubinet is there: 0.0.9, files abcdef012345; here {__version__}, files {fingerprint()}; "
        f"bring both to one commit with the same changes (its program: {there})"
    )
    assert (server.home / "heard").read_text() == ""


@pytest.mark.slow
def test_worker_that_does_not_reach_the_scheduler_is_given_up(
    tmp_path: Path, server: SSHServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a time, with what it said meanwhile."""
    monkeypatch.setattr(ssh, "START_SECONDS", 5.0)
    hello = Hello(__version__, fingerprint(), ssh.distributed.__version__, 4e9)
    there = program(server, hello, Listening(server.port))
    assert refused(tmp_path, f"ssh:alpha,python={there}") == (
        "host alpha: no connection of the worker there to the scheduler here within 5 s: it is slow"
    )


@pytest.mark.slow
def test_host_that_forwards_no_ports_is_refused(tmp_path: Path, server: SSHServer) -> None:
    """The error names the setting of the SSH server."""
    server.forwards = False
    words = refused(tmp_path, "ssh:alpha")
    assert words.startswith("host alpha: its SSH server forwards no ports (")
    assert words.endswith("workers need AllowTcpForwarding yes in its sshd_config")


def test_worker_with_another_dask_or_a_late_clock_is_refused() -> None:
    """Both ends speak one Dask; the certificate is valid from the session's start on."""
    hello = Hello(__version__, fingerprint(), ssh.distributed.__version__, 1000.0)
    assert ssh.refuse(hello, 999.0) is None
    assert ssh.refuse(hello, 1002.5) == (
        "its clock is 2.5 s behind, so that the session's certificate is not valid there yet; set both clocks (NTP)"
    )
    other = Hello(__version__, fingerprint(), "", 1000.0)
    assert ssh.refuse(other, 999.0) == ("Kubinet there has no Dask; in its environment: pip install 'kubinet[workers]'")


@pytest.mark.parametrize("name", ["experiments/catalogue/dice.yaml", "agents/dns/await-ready", "kubinet/new.py"])
def test_fingerprint_tells_every_file_that_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Data and programs as well as Python files; what Python itself has written does not."""
    monkeypatch.setattr("kubinet.__file__", str(tmp_path / "kubinet" / "__init__.py"))
    (tmp_path / name).parent.mkdir(parents=True)
    empty = fingerprint()
    (tmp_path / name).write_text("one")
    one = fingerprint()
    (tmp_path / name).write_text("two")
    cache = (tmp_path / name).parent / "__pycache__"
    cache.mkdir()
    two = fingerprint()
    (cache / "new.pyc").touch()
    assert len({empty, one, two}) == 3
    assert fingerprint() == two


def test_connection_is_made_as_ssh_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's configuration; files that do not exist are passed over; no file of known hosts means: no host."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    for name in ("key", "known"):
        (tmp_path / ".ssh" / name).touch()
    (tmp_path / ".ssh" / "config").write_text(
        "Host lab\n  IdentityFile ~/.ssh/key\n  IdentityFile ~/.ssh/lost\n"
        "  UserKnownHostsFile ~/.ssh/known ~/.ssh/lost\n"
        "Host none\n  UserKnownHostsFile none\n  GlobalKnownHostsFile none\n"
    )
    lab = connect_options("ann@lab")
    assert (lab["host"], lab["username"]) == ("lab", "ann")
    assert lab["client_keys"] == [str(tmp_path / ".ssh" / "key")]
    assert str(tmp_path / ".ssh" / "known") in lab["known_hosts"]
    assert str(tmp_path / ".ssh" / "lost") not in lab["known_hosts"]
    assert connect_options("none")["known_hosts"] == b"\n"


@pytest.mark.slow
def test_host_without_known_hosts_is_refused(server: SSHServer) -> None:
    """`UserKnownHostsFile none` means no host, even where ~/.ssh/known_hosts has it."""
    (server.ssh / "known").rename(server.ssh / "known_hosts")
    alpha = "\n".join(
        "  UserKnownHostsFile none" if "KnownHosts" in line else line for line in server.host("alpha").splitlines()
    )
    server.configure(f"{alpha}\n  GlobalKnownHostsFile none\n")
    with pytest.raises(KubinetError, match="host alpha: its host key is unknown or is not the known one"):
        asyncio.run(connect("alpha"))


@pytest.mark.slow
def test_jump_hosts_are_held_to_the_same_rules(server: SSHServer) -> None:
    """A jump host's key must be known, too; ssh would not go through one that it does not know."""

    async def reach() -> None:
        connection = await connect("alpha")
        connection.close()
        await connection.wait_closed()

    alpha = server.host("alpha") + "  ProxyJump beta\n"
    server.configure(alpha + server.host("beta"))
    asyncio.run(reach())
    assert jump_hosts("alpha") == [JumpHost("beta", None)]
    unknown = server.host("beta").splitlines()
    server.configure(alpha + "\n".join(unknown[:-1]) + "\n  UserKnownHostsFile none\n  GlobalKnownHostsFile none\n")
    with pytest.raises(KubinetError, match="host beta: its host key is unknown or is not the known one"):
        asyncio.run(reach())
    server.configure(server.host("alpha") + "  ProxyJump ann@beta:22,[::1]\n")
    assert jump_hosts("alpha") == [JumpHost("ann@beta", 22), JumpHost("::1", None)]
