"""Dask's workers by kind: who may talk to them, and Slurm's jobs, which a fake sbatch starts as processes."""

import json
import os
import signal
import socket
import ssl
import stat
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from sessions import TOOLS, Heard, new, orders_folder, session, state, table, wait

from experiments.engine.departures import Departures
from experiments.engine.remotework import Going
from experiments.engine.session import Manner
from experiments.engine.worker import Processes
from experiments.engine.workerchoice import parse_workers
from kubinet.errors import KubinetError, MissingCapabilityError, UsageError

pytest.importorskip("distributed")
pytest.importorskip("dask_jobqueue")

from distributed import Client, Security

from experiments.engine.daskclusters import open_cluster
from experiments.engine.opened import Opened
from experiments.engine.slurmjobs import job_options

pytestmark = pytest.mark.slow


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder whose files the dice obey."""
    return orders_folder(tmp_path, monkeypatch)


def manner(text: str) -> Manner:
    return Manner(workers=parse_workers(text), tools=TOOLS)


def test_who_does_not_have_the_credentials_is_refused(tmp_path: Path) -> None:
    """Neither without TLS nor with a certificate of one's own; with the session's, code is run."""
    with open_cluster(parse_workers("local:1"), tmp_path, print) as opened:
        opened.wait()
        scheduler = opened.cluster.scheduler_address
        (worker,) = opened.cluster.scheduler_info["workers"]
        for address in (scheduler, worker):
            assert address.startswith("tls://127.0.0.1:")
            assert _hears_me(address, Security.temporary()) is False
            assert _hears_me(address, opened.security) is True
            assert _hears_plain_text(address) is False
        with Client(scheduler, security=opened.security, timeout=60, set_as_default=False) as client:
            assert client.submit(sum, (1, 2)).result(60) == 3


def _hears_me(address: str, security: Security) -> bool:
    """Whether what listens there finishes a TLS handshake with this certificate and then keeps the connection."""
    host, port = address.removeprefix("tls://").split(":")
    context = security.get_connection_args("client")["ssl_context"]
    context.verify_mode = ssl.CERT_NONE  # an intruder trusts everybody
    with socket.create_connection((host, int(port)), 30) as plain, context.wrap_socket(plain) as secured:
        try:
            return bool(secured.recv(1))  # Dask's side speaks first
        except ssl.SSLError as error:
            assert error.reason is not None
            assert "ALERT" in error.reason
            return False


def _hears_plain_text(address: str) -> bool:
    """Whether what listens there answers without TLS; an alert of TLS, or silence and the end, is no answer."""
    host, port = address.removeprefix("tls://").split(":")
    with socket.create_connection((host, int(port)), 30) as plain:
        plain.sendall(b"\0" * 64)
        answer = b""
        try:
            while data := plain.recv(4096):
                answer += data
        except ConnectionResetError:
            pass
    return not (answer == b"" or answer.startswith(b"\x15\x03"))


SBATCH = """#!/bin/sh
# Slurm in one line: the script is a process, its number the job's.
out=$(sed -n 's/^#SBATCH -o //p' "$1")
cp "$1" "$FAKE_SLURM/$$.sh"
# The first job starts; others wait as long as there is a file `hold`.
mkdir "$FAKE_SLURM/started" 2>/dev/null && hold=no || hold=hold
job='while [ -e "$FAKE_SLURM/$1" ]; do sleep 0.1; done; exec bash "$2"'
setsid sh -c "$job" job $hold "$FAKE_SLURM/$$.sh" > "$(echo "$out" | sed s/%J/$$/)" 2>&1 < /dev/null &
echo $! $hold >> "$FAKE_SLURM/jobs"
echo "Submitted batch job $!"
"""
SQUEUE = """#!/bin/sh
while read job hold; do kill -0 $job 2>/dev/null && echo $job; done < "$FAKE_SLURM/jobs"
exit 0
"""
SCANCEL = """#!/bin/sh
echo "$1" >> "$FAKE_SLURM/cancelled"
kill -- "-$1"
# As Slurm does it, after its KillWait: a Dask worker whose scheduler has gone may not end by itself.
setsid sh -c "sleep 5; kill -9 -- -$1" > /dev/null 2>&1 < /dev/null &
"""


@pytest.fixture
def slurm(tmp_path: Path, orders: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the scripts of Slurm's jobs; sbatch, squeue and scancel are on PATH."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", SCANCEL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr("experiments.engine.slurmjobs._LOOK_SECONDS", 1.0)  # how soon it is seen that no job is left
    return folder


def test_jobs_of_slurm_fill_the_same_results_folder(tmp_path: Path, orders: Path, slurm: Path) -> None:
    """Two jobs, each with a node for itself; the credentials are readable by nobody else and gone at the end."""
    whole, spread, heard = new(tmp_path / "a"), new(tmp_path / "b"), Heard()
    session(whole)
    (orders / "0001").write_text("wait")
    modes: dict[str, int] = {}

    def look() -> None:
        wait((orders / "0001.waits").exists)
        folder = spread.path / ".credentials"
        for path in (folder, *folder.iterdir()):
            modes[path.name] = stat.S_IMODE(path.stat().st_mode)
        (orders / "0001").unlink()

    looker = threading.Thread(target=look)
    looker.start()
    end = session(spread, manner("slurm:jobs=2,interface=lo,queue=debug"), heard)
    looker.join()
    assert end.state == "complete", end.why
    assert table(spread.path) == table(whole.path)
    assert heard.lines[0] == "waiting for Slurm to start one of 2 jobs"
    assert modes.pop(".credentials") == 0o700
    assert set(modes.values()) == {0o600}
    assert not (spread.path / ".credentials").exists()
    scripts = sorted(slurm.glob("*.sh"))
    assert len(scripts) == 2
    for script in scripts:
        words = script.read_text()
        assert "PRIVATE KEY" not in words
        assert "#SBATCH --exclusive\n" in words
        assert "#SBATCH -p debug\n" in words
        assert f"\n{sys.executable} -P -m distributed.cli.dask_worker tls://127.0.0.1:" in words
        assert f"--tls-key {spread.path}/.credentials/tls_worker_key.pem" in words
    jobs = (slurm / "cancelled").read_text().split()
    assert len(jobs) == 2
    wait(lambda: not any(Path(f"/proc/{job}").exists() for job in jobs))
    assert len(list((spread.path / "jobs").iterdir())) == 2


@pytest.mark.parametrize("comes", [True, False])
def test_session_waits_as_long_as_a_job_waits(tmp_path: Path, orders: Path, slurm: Path, comes: bool) -> None:
    """The worker that runs dies: its run has failed. The other job still waits in the queue: it starts, or goes too."""
    (slurm / "hold").touch()
    (orders / "0001").write_text("wait")
    folder, heard = new(tmp_path), Heard()

    def kill() -> None:
        wait((orders / "0001.waits").exists)
        jobs = {hold: int(job) for job, hold in (line.split() for line in (slurm / "jobs").read_text().splitlines())}
        os.killpg(jobs["no"], signal.SIGKILL)
        (orders / "0001").unlink()
        wait(lambda: sum(line.startswith("waiting for Slurm") for line in heard.lines) == 2)
        if comes:
            (slurm / "hold").unlink()
        else:
            os.killpg(jobs["hold"], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    if comes:
        assert session(folder, manner("slurm:jobs=2,interface=lo"), heard).state == "complete"
    else:
        with pytest.raises(KubinetError, match="every job has ended; what they printed is in "):
            session(folder, manner("slurm:jobs=2,interface=lo"), heard)
    killer.join()
    failed = folder.path / "failed/0001-1/run.json" if comes else folder.path / "runs/0001/run.json"
    assert json.loads(failed.read_text())["error"].startswith("run 1: its worker ")
    assert all(" --no-nanny " in script.read_text() for script in slurm.glob("*.sh"))


def test_no_run_begins_on_a_worker_that_ends() -> None:
    """A run that comes when the others are being ended would be left behind."""
    closed: list[bool] = []

    class Noted(Processes):
        def close(self) -> None:
            closed.append(True)

    going, ended = Going(), Noted(lambda *_told: None)
    with going.one(1, ended):
        going.end()
        assert closed == [True]
        with pytest.raises(KubinetError, match="run 2: the session is over"), going.one(2, ended):
            pass


def test_what_sbatch_says_against_a_job_is_told(tmp_path: Path, slurm: Path) -> None:
    """Dask would wait for ever for a worker."""
    (slurm / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: debug' >&2\nexit 1\n")
    folder = new(tmp_path)
    with pytest.raises(KubinetError, match="sbatch: error: invalid partition specified: debug"):
        session(folder, manner("slurm:queue=debug,interface=lo"))
    assert state(folder.path)["state"] == "failed"
    assert not (folder.path / ".credentials").exists()


def test_slurm_is_refused_where_it_cannot_be(tmp_path: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown word; a network that is not here; a folder that job scripts cannot name; a machine without sbatch."""
    with pytest.raises(UsageError, match="unexpected keyword argument 'colour'"):
        session(new(tmp_path / "a"), manner("slurm:colour=blue,interface=lo"))
    with pytest.raises(UsageError, match="--workers slurm: interface=typo: 'typo' is not a valid network interface"):
        session(new(tmp_path / "c"), manner("slurm:interface=typo"))
    with pytest.raises(UsageError, match="name a folder of letters, digits"):
        session(new(tmp_path / "my results"), manner("slurm:jobs=1"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingCapabilityError, match="there is no sbatch here"):
        session(new(tmp_path / "b"), manner("slurm:jobs=1"))


def test_words_of_workers_go_before_what_is_usual(tmp_path: Path) -> None:
    """Numbers are numbers, lists get longer; who may talk to the workers is not a matter of words."""
    security = Security()
    words = "cores=8,memory=16GB,security=none,nanny=yes,account=0123,job_extra_directives=--qos=high,job_cpu=4"
    told = job_options(parse_workers(f"slurm:jobs=2,{words}"), tmp_path, security)
    assert (told["account"], told["job_cpu"], told["nanny"]) == ("0123", 4, False)
    assert told["job_extra_directives"] == ["--exclusive", "--qos=high"]
    with pytest.raises(UsageError, match="processes must be 1"):
        job_options(parse_workers("slurm:processes=2"), tmp_path, security)
    assert (told["cores"], told["memory"], told["security"]) == (8, "16GB", security)


def test_last_words_of_the_last_worker_are_waited_for() -> None:
    """The scheduler misses it as soon as its connection closes; its SSH connection tells why a moment later."""
    gone = Departures()
    nobody = SimpleNamespace(scheduler=SimpleNamespace(workers={}))
    opened = Opened(nobody, None, gone, explain=2)
    gone["alpha"] = "host alpha: its worker ended"
    later = threading.Timer(0.1, gone.__setitem__, ("beta", "host beta: no route"))
    later.start()
    assert opened.why_none() == "host alpha: its worker ended; host beta: no route"
    later.join()
