"""The container runtime's nouns and its client: pod sandboxes, containers, exits, exec.

The runtime (`agents.runtime.daemon`) listens on a unix stream socket. A connection carries one request: a line of
JSON, with file descriptors beside it for exec; the answer is one line. Two calls keep their connection: `events`
(a line per exit) and `exec` (a line when the process ended). Every method may be called from any thread.
"""

import contextlib
import json
import signal
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Self

from kubinet.crilink import Connection, RuntimeUnavailableError
from kubinet.criwire import decode, encode


@dataclass(frozen=True, slots=True)
class HostAlias:
    """One line of a pod's /etc/hosts (`spec.hostAliases`)."""

    address: IPv4Address
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What a pod's containers share: network namespace, host name, resolver, /etc/hosts."""

    pod_uid: str
    namespace: str
    name: str
    hostname: str
    """The kernel's host name."""
    node: str
    network_namespace: Path | None = None
    """None: the pod gets its own. Else the path of one, e.g. `/proc/<node pid>/ns/net` (hostNetwork)."""
    address: IPv4Address | None = None
    """The pod's address, for its line in /etc/hosts."""
    fqdn: str = ""
    """The host name with its domain, for the same line; empty: without one."""
    nameservers: tuple[IPv4Address, ...] = ()
    searches: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    """As in resolv.conf, e.g. `ndots:5`."""
    host_aliases: tuple[HostAlias, ...] = ()


@dataclass(frozen=True, slots=True)
class EmptyDirSource:
    """A folder that the pod's containers share; empty at first, gone with the sandbox (`emptyDir`)."""

    volume: str
    size_limit: int | None = None
    """Bytes; the volume is a tmpfs of this size then. None: limited by the sandbox's /run only."""


@dataclass(frozen=True, slots=True)
class FilesSource:
    """Files given by value (`configMap`, `downwardAPI`): path relative to the mount's target -> contents. Read-only."""

    volume: str
    files: Mapping[str, bytes]
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class HostPathSource:
    """A file or folder of the machine, always read-only: containers never change the machine."""

    path: Path


@dataclass(frozen=True, slots=True)
class MountSpec:
    """One entry of `volumeMounts`."""

    target: Path
    """Absolute path in the container; made when missing."""
    source: EmptyDirSource | FilesSource | HostPathSource
    read_only: bool = False
    sub_path: str = ""
    """A path inside the volume (`subPath`)."""


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """`resources.limits`: None means no limit."""

    cpu: float | None = None
    """Cores, e.g. 0.5."""
    memory: int | None = None
    """Bytes."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One run (attempt) of one container. stdout and stderr go to `log_path(...)`."""

    pod_uid: str
    name: str
    attempt: int
    """0, 1, … = restart count; (pod_uid, name, attempt) must be new."""
    argv: tuple[str, ...]
    """The whole command as `kubinet.images.resolve` gives it; argv[0] is looked up in the container's PATH."""
    env: Mapping[str, str] = field(default_factory=dict)
    """The whole environment. PATH, HOSTNAME and HOME are added when missing."""
    cwd: Path = Path("/")
    mounts: tuple[MountSpec, ...] = ()
    limits: ResourceLimits = ResourceLimits()
    tty: bool = False
    """stdin, stdout and stderr are a terminal; the log holds what it shows."""
    stdin: bool = False
    """stdin stays open and empty instead of /dev/null."""
    programs: Mapping[str, Path] = field(default_factory=dict)
    """Path in the container -> program of the machine found there, e.g. `/agnhost` (from the image table)."""
    busybox: bool = False
    """busybox's applets are there, first in PATH unless PATH names their folder (from the image table)."""
    capabilities: tuple[str, ...] = ()
    """Added to the default set (`securityContext.capabilities.add`), e.g. `NET_ADMIN`."""


class ContainerPhase(StrEnum):
    """Where a container's process is."""

    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """What became of a `ContainerSpec`."""

    pod_uid: str
    name: str
    attempt: int
    phase: ContainerPhase
    pid: int
    """In the sandbox's pid namespace; 0 when it never started."""
    started_at: datetime
    log_path: Path
    exit_code: int | None = None
    """Set when exited: the process's status, or 128 + signal; 128 with reason StartError."""
    finished_at: datetime | None = None
    reason: str = ""
    """Kubernetes' words: Completed, Error, OOMKilled, StartError."""
    message: str = ""
    unenforced: tuple[str, ...] = ()
    """Limits that this machine did not let us set, each a sentence for an event."""
    log_bytes_lost: int = 0
    """Output that could not be written to the log (disk full)."""


@dataclass(frozen=True, slots=True)
class SandboxInfo:
    """A pod sandbox that exists, with the last attempt of each of its containers."""

    pod_uid: str
    namespace: str
    name: str
    node: str
    netns: Path
    """The network namespace, to be opened by any process of the cluster's sandbox: `/proc/<runtime's pid>/fd/<n>`."""
    containers: tuple[ContainerStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerExit:
    """A container's process ended. An event says only "look again": after a reconnect, `list` is the truth."""

    pod_uid: str
    name: str
    attempt: int
    exit_code: int
    finished_at: datetime
    reason: str
    message: str = ""


def log_path(state_dir: Path, pod_uid: str, container: str, attempt: int) -> Path:
    """Where a container's output is kept, in CRI's format; an older part beside it as `<attempt>.log.1`."""
    return state_dir / "pods" / pod_uid / container / f"{attempt}.log"


class RuntimeClient:
    """Calls the container runtime. Cheap to make; holds no connection."""

    def __init__(self, socket_path: Path, *, timeout: float = 60.0) -> None:
        """`timeout`: seconds that the runtime may take for one answer."""
        self._path = socket_path
        self._timeout = timeout

    def create_sandboxes(self, specs: Sequence[SandboxSpec]) -> tuple[SandboxInfo, ...]:
        """Make the sandboxes, in order. One that exists already is returned as it is: the call may be repeated.

        A new network namespace has its loopback up and nothing else.
        """
        return decode(tuple[SandboxInfo, ...], self._call("create_sandboxes", specs=tuple(specs)))

    def create_sandbox(self, spec: SandboxSpec) -> SandboxInfo:
        """Make one sandbox; see `create_sandboxes`."""
        return self.create_sandboxes((spec,))[0]

    def remove_sandboxes(self, pod_uids: Sequence[str], *, keep_logs: bool = False) -> None:
        """Kill what still runs in them, without grace, and drop network namespaces, volumes and logs.

        Returns when the processes are gone. A sandbox that does not exist is no error.
        """
        self._call("remove_sandboxes", pod_uids=tuple(pod_uids), keep_logs=keep_logs)

    def remove_sandbox(self, pod_uid: str, *, keep_logs: bool = False) -> None:
        """Remove one sandbox; see `remove_sandboxes`."""
        self.remove_sandboxes((pod_uid,), keep_logs=keep_logs)

    def list(self) -> tuple[SandboxInfo, ...]:
        """Every sandbox with the last attempt of each of its containers."""
        return decode(tuple[SandboxInfo, ...], self._call("list"))

    def network_namespace(self, pod_uid: str) -> Path:
        """The pod's network namespace, to be opened at once (see `SandboxInfo.netns`). ContainerNotFoundError."""
        return Path(self._call("network_namespace", pod_uid=pod_uid))

    def start_containers(self, specs: Sequence[ContainerSpec]) -> tuple[ContainerStatus, ...]:
        """Start the containers; returns when each one's program runs, or failed to start.

        A failed start is no exception, so that it does not spoil the others: the status says exited with reason
        StartError and a message. ContainerNotFoundError when a sandbox is missing.
        """
        return decode(tuple[ContainerStatus, ...], self._call("start_containers", specs=tuple(specs)))

    def start_container(self, spec: ContainerSpec) -> ContainerStatus:
        """Start one container; see `start_containers`."""
        return self.start_containers((spec,))[0]

    def stop_container(self, pod_uid: str, name: str, grace_seconds: float) -> None:
        """Send SIGTERM, and SIGKILL when it still runs after the grace. Returns at once: the exit comes as an event.

        A container that does not run is no error.
        """
        self._call("stop_container", pod_uid=pod_uid, name=name, grace_seconds=float(grace_seconds))

    def events(self) -> "EventStream":
        """Subscribe to container exits. What ends after this call returns is in the stream: subscribe, then list."""
        connection = self._connect("events", {}, ())
        connection.socket.settimeout(None)
        return EventStream(connection)

    def exec(
        self,
        pod_uid: str,
        container: str,
        argv: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        tty: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> "ExecProcess":
        """Run a program inside a running container.

        The descriptors are handed to the process (None: /dev/null); the caller keeps its own copies and closes them.
        With `tty` none is given: a new terminal of the container's becomes all three and the process's controlling
        terminal (`ExecProcess.terminal`). `env` comes on top of the container's own. ContainerNotFoundError,
        ExecStartError.
        """
        given = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        passed = {name: fd for name, fd in given.items() if fd is not None}
        request = _exec_request(pod_uid, container, argv, passed, tty=tty, env=dict(env or {}))
        connection = Connection(self._path, self._timeout, request, tuple(passed.values()))
        connection.socket.settimeout(None)
        return ExecProcess(connection, connection.answer["pid"])

    def exec_unawaited(self, pod_uid: str, container: str, argv: Sequence[str], *, output: int) -> "UnawaitedExec":
        """Ask for a program inside a running container, for event loops: returns before the runtime has answered.

        Standard output and error go to the descriptor `output`; the caller keeps its own copy.
        """
        request = _exec_request(pod_uid, container, argv, ("stdout", "stderr"))
        connection = Connection(self._path, self._timeout, request, (output, output), awaited=False)
        connection.socket.setblocking(False)
        return UnawaitedExec(connection)

    def attach(
        self,
        pod_uid: str,
        container: str,
        *,
        stdout: int | None = None,
        stderr: int | None = None,
        stdin: bool = False,
        once: bool = False,
    ) -> "Attachment":
        """Get what a running container writes from now on, beside its log.

        The runtime closes its copies of the descriptors when the container ends, or when nobody reads for too long.
        `stdin`: take the container's standard input; `once`: and keep it, so that closing it is the container's end
        of input (`stdinOnce`). ContainerNotFoundError; ContainerRuntimeError for input that the container has not got.
        """
        given = {"stdout": stdout, "stderr": stderr}
        passed = {name: fd for name, fd in given.items() if fd is not None}
        request = {
            "pod_uid": pod_uid,
            "container": container,
            "streams": tuple(passed),
            "stdin": stdin,
            "once": once,
        }
        connection = self._connect("attach", request, tuple(passed.values()))
        connection.socket.settimeout(None)
        return Attachment(connection, has_terminal=connection.answer["terminal"])

    def _call(self, call: str, **arguments: object) -> Any:
        with self._connect(call, arguments, ()) as connection:
            return connection.answer

    def _connect(self, call: str, arguments: Mapping[str, object], fds: Sequence[int]) -> "Connection":
        return Connection(self._path, self._timeout, encode({"call": call, **arguments}), fds)


def _exec_request(pod: str, container: str, argv: Sequence[str], streams: Iterable[str], **more: object) -> object:
    words = {"call": "exec", "pod_uid": pod, "container": container, "argv": tuple(argv), "streams": tuple(streams)}
    return encode({**words, "tty": False, "env": {}, **more})


class EventStream(Iterator[ContainerExit]):
    """Exits as they happen; a context manager.

    Ends (StopIteration) after `close`, raises RuntimeUnavailableError when the runtime went away.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._closed = False
        self._reading = False

    def __next__(self) -> ContainerExit:
        if self._closed:
            raise StopIteration
        self._reading = True
        line = self._connection.read()
        self._reading = False
        if line is not None:
            return decode(ContainerExit, line)
        self._connection.socket.close()
        if self._closed:
            raise StopIteration
        self._closed = True
        raise RuntimeUnavailableError("container runtime: the stream of exits ended; subscribe again, then list")

    def fileno(self) -> int:
        """Readable when there is an exit to read: for selectors and event loops."""
        return self._connection.socket.fileno()

    def close(self) -> None:
        """End the stream; may be called from another thread than the reader's."""
        self._closed = True
        if self._reading:
            with contextlib.suppress(OSError):
                self._connection.socket.shutdown(socket.SHUT_RDWR)  # wakes the reader, who closes
        else:
            self._connection.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Exec:
    """A context manager that kills what still runs; when its caller's process dies, the runtime kills it too."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def fileno(self) -> int:
        """Readable when there is something to learn without blocking: for selectors and event loops."""
        return self._connection.socket.fileno()

    def close(self) -> None:
        """Let go of the process: it is killed when it still runs."""
        self._connection.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ExecProcess(_Exec):
    """A process that runs inside a container; readable (`fileno`) when it has ended."""

    def __init__(self, connection: Connection, pid: int) -> None:
        super().__init__(connection)
        self._exit_code: int | None = None
        self.pid = pid
        """In the sandbox's pid namespace."""
        self.terminal: int | None = connection.fds[0] if connection.fds else None
        """The controlling side of its terminal, for the caller to close."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, or 128 + signal. DeadlineError after `timeout` seconds."""
        if self._exit_code is None:
            self._connection.socket.settimeout(timeout)
            line = self._connection.read()
            if line is None:
                raise RuntimeUnavailableError(f"container runtime: it ended while process {self.pid} ran")
            self._exit_code = int(line["exit_code"])
        return self._exit_code

    def kill(self, signal_number: int = signal.SIGKILL) -> None:
        """Send a signal to the process; nothing when it ended already."""
        try:
            self._connection.socket.send(json.dumps({"signal": int(signal_number)}).encode() + b"\n")
        except OSError:
            return


class UnawaitedExec(_Exec):
    """A process inside a container that starts, runs or has ended; readable (`fileno`) when `poll` has news."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._started = False

    def poll(self) -> int | None:
        """The exit status, or 128 + signal; None while it runs. Does not block.

        ContainerNotFoundError, ExecStartError, RuntimeUnavailableError.
        """
        try:
            if not self._started:
                self._connection.read_answer()
                self._started = True
            line = self._connection.read()
        except BlockingIOError:
            return None
        if line is None:
            raise RuntimeUnavailableError("container runtime: it ended while a program ran in a container")
        return int(line["exit_code"])


class Attachment:
    """A container's streams while it runs; a context manager."""

    def __init__(self, connection: Connection, *, has_terminal: bool) -> None:
        self._connection = connection
        fd = connection.fds[0] if connection.fds else None
        self.stdin = None if has_terminal else fd
        """Where to write the container's standard input."""
        self.terminal = fd if has_terminal else None
        """The controlling side of the container's terminal: to write its input to; all its output comes as stdout."""

    def fileno(self) -> int:
        """Readable when the container ended."""
        return self._connection.socket.fileno()

    def wait(self, timeout: float | None = None) -> int:
        """The container's exit status. DeadlineError after `timeout` seconds."""
        self._connection.socket.settimeout(timeout)
        line = self._connection.read()
        if line is None:
            raise RuntimeUnavailableError("container runtime: it ended while a container was attached to")
        return int(line["exit_code"])

    def close(self) -> None:
        """Let go of the container, which runs on. `stdin` and `terminal` are the caller's to close."""
        self._connection.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
