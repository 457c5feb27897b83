"""Starting, finding and stopping clusters on this machine.

Each cluster has a state folder `$XDG_STATE_HOME/kubinet/clusters/NAME` (default `~/.local/state`): `settings.json`
(0600: holds the token), `cluster.json`, `topology.json`, `services.json`, `pki/`, `logs/`, `pods/`, the API's data.
"""

import fcntl
import json
import os
import secrets
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kubinet.client import Client, Object
from kubinet.errors import DeadlineError, KubinetError, UsageError
from kubinet.sandbox import FirstProcess, launch

DEFAULT_NAME = "kubinet"
START_SECONDS = 180.0
"""How long coming up may be silent before it is given up."""
_STOP_SECONDS = 10.0
Progress = Callable[[str, str, float], None]
"""Called with (phase, state, seconds since the start): state is "starting", "ready" or "died"."""


@dataclass(frozen=True, slots=True)
class Request:
    """What `kubinet up` was asked for."""

    topology: str = "leaf-spine"
    name: str = DEFAULT_NAME
    nodes: int | None = None
    datapath: str = "auto"
    settings: Mapping[str, object] = field(default_factory=dict)
    """`--set`: preset parameters and dotted paths into the topology's spec."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Options for services (`ServiceContext.options`)."""
    bound: bool = False
    """End the cluster when the starting program ends."""
    port: int = 0
    """The API's port on the host's loopback; 0 lets the kernel choose."""


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """A cluster as its state folder describes it."""

    name: str
    first_process: FirstProcess
    port: int
    token: str
    nodes: int
    created: float
    """Seconds since the epoch."""
    timings: Mapping[str, float]
    state_dir: Path

    @property
    def pid(self) -> int:
        """The sandbox's first process, in the host's numbering."""
        return self.first_process.pid

    @property
    def alive(self) -> bool:
        """Whether the cluster runs."""
        return self.first_process.alive

    @property
    def url(self) -> str:
        """The API on the host's loopback."""
        return f"https://127.0.0.1:{self.port}"

    def client(self) -> Client:
        """An API client."""
        return Client(self.url, self.token, ca=self.state_dir / "pki" / "ca.crt")

    def kubeconfig(self) -> str:
        """A kubeconfig with one cluster, user and context (JSON is YAML)."""
        context = f"kubinet-{self.name}"
        authority = (self.state_dir / "pki" / "ca.crt").resolve()
        document: Object = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": context, "cluster": {"server": self.url, "certificate-authority": str(authority)}}],
            "users": [{"name": context, "user": {"token": self.token}}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": context, "namespace": "default"}}],
            "current-context": context,
        }
        return json.dumps(document, indent=2) + "\n"


def clusters_dir() -> Path:
    """Where the state folders are."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "kubinet" / "clusters"


def fresh_name() -> str:
    """A name for a cluster that only one program uses."""
    return f"run-{secrets.token_hex(4)}"


def list_clusters() -> list[ClusterInfo]:
    """Every cluster with a state folder, also those that died."""
    root = clusters_dir()
    found = (_load(path) for path in sorted(root.iterdir())) if root.is_dir() else ()
    return [info for info in found if info is not None]


def find(name: str) -> ClusterInfo:
    """The running cluster of that name; UsageError that says which run."""
    info = _load(clusters_dir() / name)
    if info is not None and info.alive:
        return info
    running = ", ".join(one.name for one in list_clusters() if one.alive)
    hint = f"running: {running}" if running else "none is running; start one with `kubinet up`"
    raise UsageError(f"cluster '{name}' is not running; {hint}")


def start(request: Request, progress: Progress | None = None) -> ClusterInfo:
    """Bring a cluster up and return when it is observed ready; a failure leaves nothing but the logs in its folder.

    KubinetError where a cluster of that name runs, or is being started.
    """
    _check_name(request.name)
    state_dir = clusters_dir() / request.name
    hidden = next((place for place in _HIDDEN if state_dir.resolve().is_relative_to(place)), None)
    if hidden is not None:
        raise UsageError(
            f"state folder {state_dir}: a sandbox has a {hidden} of its own and would not see it; "
            "set XDG_STATE_HOME to another place"
        )
    with _alone(state_dir):
        return _start(request, state_dir, progress)


@contextmanager
def _alone(state_dir: Path) -> Iterator[None]:
    """Nobody else starts a cluster in this state folder meanwhile; the kernel ends the lock with its process."""
    path = state_dir.with_name(f".{state_dir.name}.starting")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _no_room(state_dir, error) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = os.fstat(lock).st_nlink > 0  # else the one before has just removed it
        except BlockingIOError:
            free = False
        if not free:
            raise KubinetError(
                f"cluster '{state_dir.name}' is being started by another command; wait for it, or choose another --name"
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(lock)


def _start(request: Request, state_dir: Path, progress: Progress | None) -> ClusterInfo:
    from topologies.resolve import resolve_topology  # noqa: PLC0415 - heavy; only a start needs it

    existing = _load(state_dir)
    if existing is not None and existing.alive:
        raise KubinetError(
            f"cluster '{request.name}' is already running; `kubinet down --name {request.name}` ends it, "
            "or choose another --name"
        )
    began = time.monotonic()
    topology = resolve_topology(
        request.topology,
        nodes=request.nodes,
        datapath=request.datapath,
        settings=request.settings,
        for_this_machine=True,
    )
    listener = _listen(request.port)
    ours, theirs = socket.socketpair()
    shutil.rmtree(state_dir, ignore_errors=True)
    try:
        (state_dir / "logs").mkdir(parents=True, mode=0o700)
        token = secrets.token_urlsafe(24)
        settings = {
            "name": request.name,
            "token": token,
            "api_fd": listener.fileno(),
            "options": dict(request.options),
            "bound": request.bound,
        }
        _write_private(state_dir / "settings.json", json.dumps(settings))
        (state_dir / "topology.json").write_text(json.dumps(topology))
        argv = [sys.executable, "-m", "topologies.supervisor", str(state_dir), str(theirs.fileno())]
        first = launch(
            argv,
            log=state_dir / "logs" / "supervisor.log",
            keep_fds=[listener.fileno(), theirs.fileno()],
            environment=_environment(),
        )
    except OSError as error:
        shutil.rmtree(state_dir, ignore_errors=True)
        for one in (listener, ours, theirs):
            one.close()
        raise _no_room(state_dir, error) from error
    port = listener.getsockname()[1]
    listener.close()
    theirs.close()
    info = ClusterInfo(request.name, first, port, token, len(topology["spec"]["nodes"]), time.time(), {}, state_dir)
    try:
        timings = _follow(ours, info, topology, progress, began)
        info = ClusterInfo(**{**{name: getattr(info, name) for name in ClusterInfo.__slots__}, "timings": timings})
        _record(info)
    except BaseException:
        _end(first)
        ours.close()
        raise
    if request.bound:
        _LIFELINES[request.name] = ours
    else:
        ours.close()
    return info


def _record(info: ClusterInfo) -> None:
    """Write what lists and ends the cluster later."""
    try:
        _write_private(info.state_dir / "cluster.json", json.dumps(_to_json(info)))
    except OSError as error:
        raise _no_room(info.state_dir, error) from error


def _no_room(state_dir: Path, error: OSError) -> KubinetError:
    return KubinetError(f"state folder {state_dir}: {error.strerror}; free space or set XDG_STATE_HOME")


_HIDDEN = (Path("/run"), Path("/proc"), Path("/sys"))
_LIFELINES: dict[str, socket.socket] = {}
"""Open ends of bound clusters' control sockets: closing one, or our death, ends the cluster."""


def stop(name: str) -> None:
    """Take the cluster down and remove its state folder; UsageError where there is none of that name."""
    info = _load(clusters_dir() / name)
    if info is None:
        find(name)  # raises, naming those that run
        return
    _end(info.first_process)
    lifeline = _LIFELINES.pop(name, None)
    if lifeline is not None:
        lifeline.close()
    shutil.rmtree(info.state_dir, ignore_errors=True)


def _end(first: FirstProcess) -> None:
    """SIGTERM, and SIGKILL for a first process that does not end; returns when it is gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not first.alive:
            return
        try:
            handle = os.pidfd_open(first.pid)
        except ProcessLookupError:
            return
        try:
            signal.pidfd_send_signal(handle, number)
            if _wait_readable(handle, _STOP_SECONDS):
                return
        except ProcessLookupError:
            return
        finally:
            os.close(handle)
    if first.alive:
        raise DeadlineError(f"process {first.pid}: did not end within {_STOP_SECONDS:g} s of SIGKILL")


def _wait_readable(fd: int, seconds: float) -> bool:
    return bool(select.select([fd], [], [], seconds)[0])


def _follow(
    control: socket.socket, info: ClusterInfo, topology: Object, progress: Progress | None, began: float
) -> dict[str, float]:
    """Read the supervisor's lines until the cluster is ready; returns seconds since `began` by phase."""
    timings = {"sandbox": time.monotonic() - began}
    control.settimeout(START_SECONDS)
    refused: KubinetError | None = None
    for event in _events(control, info):
        seconds = time.monotonic() - began
        if progress is not None:
            progress(event["service"], event["state"], seconds)
        if event["state"] == "died":
            raise KubinetError(f"cluster '{info.name}': {_why_died(event)}")
        if event["state"] != "ready":
            continue
        timings[event["service"]] = round(seconds, 3)
        if event["service"] == "api":
            try:
                info.client().create({**topology, "metadata": {"name": "cluster"}})
            except KubinetError as error:
                refused = error  # another service's death, which the next line tells, may be why
        if refused is None and event["service"] == "cluster":
            return timings
    raise refused or KubinetError(
        f"cluster '{info.name}': the sandbox ended while starting:\n{_all_tails(info.state_dir)}"
    )


def _events(control: socket.socket, info: ClusterInfo) -> Iterator[Object]:
    rest = b""
    while True:
        try:
            data = control.recv(65536)
        except TimeoutError as error:
            message = f"cluster '{info.name}': silent for {START_SECONDS:g} s while starting; see {info.state_dir}/logs"
            raise DeadlineError(message) from error
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from (json.loads(line) for line in lines)


def _listen(port: int) -> socket.socket:
    """The API's socket, made here so that it stays in the host's network namespace."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise KubinetError(
            f"port {port}: {error.strerror}; choose another --api-port, or 0 for any free one"
        ) from error
    listener.listen(1024)
    return listener


def _check_name(name: str) -> None:
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789-")
    if not name or len(name) > 40 or set(name) - allowed or name[0] == "-" or name[-1] == "-":
        raise UsageError(f"cluster name {name!r}: use 1 to 40 lower-case letters, digits and inner dashes")


def _environment() -> dict[str, str]:
    """What the services see of the user's environment: nothing that could change what they do."""
    kept = ("HOME", "USER", "LANG", "LC_ALL", "TERM", "VIRTUAL_ENV", "XDG_CONFIG_HOME", "KUBINET_FRAMEWORK")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    own = str(Path(sys.executable).parent)
    environment["PATH"] = f"{own}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent)
    environment["MALLOC_ARENA_MAX"] = "2"  # glibc's per-thread arenas cost vswitchd tens of MB on small machines
    return environment


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)


def _to_json(info: ClusterInfo) -> Object:
    return {
        "name": info.name,
        "pid": info.pid,
        "started": info.first_process.started,
        "port": info.port,
        "token": info.token,
        "nodes": info.nodes,
        "created": info.created,
        "timings": dict(info.timings),
    }


def _load(state_dir: Path) -> ClusterInfo | None:
    try:
        stored = json.loads((state_dir / "cluster.json").read_text())
    except (OSError, ValueError):
        return None
    return ClusterInfo(
        name=stored["name"],
        first_process=FirstProcess(stored["pid"], stored["started"]),
        port=stored["port"],
        token=stored["token"],
        nodes=stored["nodes"],
        created=stored["created"],
        timings=stored["timings"],
        state_dir=state_dir,
    )


def _why_died(event: Object) -> str:
    """The error that a service ended with where it knew what was wrong, else the end of its log."""
    service, log = event["service"], Path(event["log"])
    last = _tail(log, 1).rpartition(f" ERROR {service}: ")[2]
    if last != _tail(log, 1):
        return last
    return f"service {service} ended with status {event['exit_code']} while starting:\n{_tail(log)}"


def _tail(log: Path, lines: int = 12) -> str:
    try:
        return "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "  (it wrote no log)"


def _all_tails(state_dir: Path) -> str:
    logs = sorted((state_dir / "logs").glob("*.log"))
    return "\n".join(f"{log.name}:\n{_tail(log)}" for log in logs if log.stat().st_size)
