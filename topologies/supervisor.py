"""The sandbox's first process: starts the services, restarts those that die, and takes all with it when it ends.

It imports little and starts no thread, so that forking is safe and cheap. Each service is forked at once, imports its
module while others work, and waits at a gate until the services it needs are ready.
"""

import importlib
import json
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from kubinet.errors import KubinetError
from kubinet.sandbox import furnish, raise_loopback
from kubinet.service import ServiceContext

API_ADDRESS = "http://127.0.0.1:8080"
"""Where the API listens inside the sandbox."""
RUN_DIR = Path("/run/kubinet")
_STOP_SECONDS = 5.0
_BACKOFF_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_LOG = logging.getLogger("supervisor")


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its module's `serve` runs in a process of its own."""

    name: str
    module: str
    after: tuple[str, ...] = ()
    once: bool = False
    """Ends by itself when it has done its work."""


SERVICES = (
    Service("api", "controller.api.server"),
    Service("runtime", "agents.runtime.daemon"),
    Service("underlay", "topologies.underlay"),
    Service("controller", "controller.app", after=("api",)),
    Service("agents", "agents.node_agent", after=("api", "runtime", "underlay")),
    Service("dns", "topologies.coredns", after=("api", "agents"), once=True),
    Service("reachability", "topologies.readiness", after=("agents", "controller"), once=True),
)


@dataclass(slots=True)
class _Running:
    service: Service
    pid: int = 0
    restarts: int = 0
    restart_at: float | None = None
    gate: int | None = None
    facts: Mapping[str, object] | None = None
    pipe: int | None = None
    """Where its report comes from, until it is complete."""
    report: bytes = b""
    """What came of its report so far: one line of JSON."""

    @property
    def state(self) -> str:
        """For people: starting, ready, done (a service that ends by itself) or dead (until it is restarted)."""
        if self.pid == 0:
            return "done" if self.service.once and self.facts is not None else "dead"
        return "starting" if self.facts is None else "ready"


@dataclass(slots=True)
class Supervisor:
    """State of the first process; `run` is its life."""

    settings: Mapping[str, object]
    state_dir: Path
    control: socket.socket
    plan: tuple[Service, ...] = SERVICES
    stop_seconds: float = _STOP_SECONDS
    services: dict[str, _Running] = field(default_factory=dict)
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    complete: bool = False
    stopping: bool = False
    control_open: bool = True
    _started: float = field(default_factory=time.monotonic)
    _wake: socket.socket = field(init=False)

    def run(self) -> int:
        """Start everything and stay until SIGTERM, or until a service cannot start."""
        self._wake, wake_write = socket.socketpair()
        wake_write.setblocking(False)
        signal.set_wakeup_fd(wake_write.fileno())
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self.selector.register(self._wake, selectors.EVENT_READ, self._on_signals)
        self.selector.register(self.control, selectors.EVENT_READ, self._on_control)
        self.services = {service.name: _Running(service) for service in self.plan}
        for running in self.services.values():
            self._fork(running)
        while not self.stopping:
            for key, _ in self.selector.select(self._next_restart()):
                key.data(key.fileobj)
            self._restart_due()
        return self._stop()

    # Events

    def _on_signals(self, wake: socket.socket) -> None:
        numbers = set(wake.recv(4096))
        for pid, status in _reap():
            self._on_death(pid, status)
        if numbers & {signal.SIGTERM, signal.SIGINT}:
            self.stopping = True

    def _on_control(self, control: socket.socket) -> None:
        """Whoever started us went away: fine once we run, unless it asked us to end with it."""
        if control.recv(4096):
            return
        self.selector.unregister(control)
        self.control_open = False
        if self.settings.get("bound") or not self.complete:
            self.stopping = True

    def _on_report(self, pipe: int, running: _Running) -> None:
        if running.pipe != pipe:
            return  # read already, when the service's end was seen first
        try:
            data = os.read(pipe, 65536)
        except BlockingIOError:
            return
        running.report += data
        if not data or running.report.endswith(b"\n"):
            self.selector.unregister(pipe)
            os.close(pipe)
            running.pipe = None
        if not running.report.endswith(b"\n"):
            return
        running.facts = json.loads(running.report)
        running.report = b""
        self._tell(running.service.name, "ready", facts=running.facts)
        for other in self.services.values():
            self._open_gate(other)
        if not self.complete and all(other.facts is not None for other in self.services.values()):
            self.complete = True
            self._tell("cluster", "ready")
        self._write_services()

    def _on_death(self, pid: int, status: int) -> None:
        running = next((one for one in self.services.values() if one.pid == pid), None)
        if running is None:
            return  # an orphan that the kernel gave us to reap
        if running.pipe is not None:
            self._on_report(running.pipe, running)
        running.pid = 0
        code = os.waitstatus_to_exitcode(status)
        if running.service.once and code == 0 and running.facts is not None:
            self._write_services()
            return
        _LOG.error("service %s ended with status %d", running.service.name, code)
        self._tell(running.service.name, "died", exit_code=code, log=str(self._log_file(running.service.name)))
        if not self.complete and running.facts is None:
            self.stopping = True
            return
        delay = _BACKOFF_SECONDS[min(running.restarts, len(_BACKOFF_SECONDS) - 1)]
        running.restart_at = time.monotonic() + delay
        running.restarts += 1
        running.facts, running.report = None, b""
        self._write_services()

    # Services

    def _fork(self, running: _Running) -> None:
        report_read, report_write = os.pipe()
        gate_read, gate_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(report_read)
            os.close(gate_write)
            self._become(running.service, report_write, gate_read)
        os.close(report_write)
        os.close(gate_read)
        running.pid, running.gate = pid, gate_write
        running.pipe = report_read
        os.set_blocking(report_read, False)
        self.selector.register(report_read, selectors.EVENT_READ, lambda pipe: self._on_report(pipe, running))
        self._tell(running.service.name, "starting")
        self._open_gate(running)
        self._write_services()

    def _open_gate(self, running: _Running) -> None:
        if running.gate is not None and all(self.services[name].facts is not None for name in running.service.after):
            os.close(running.gate)
            running.gate = None

    def _become(self, service: Service, report: int, gate: int) -> NoReturn:
        """The forked child: import, wait for the gate, serve."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            self.selector.close()
            self.control.close()
            for other in self.services.values():
                if other.gate is not None:
                    os.close(other.gate)
            Path("/proc/self/comm").write_text(f"kubinet-{service.name}"[:15])
            output = os.open(self._log_file(service.name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.close(output)
            logging.basicConfig(level=logging.INFO, format=_LOG_FORMAT, force=True, stream=sys.stderr)
            module = importlib.import_module(service.module)
            os.read(gate, 1)
            os.close(gate)
            module.serve(self._context(report))
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        except KubinetError as error:
            logging.getLogger(service.name).error("%s", error)  # it says what is wrong; where it was seen helps nobody
        except BaseException:
            logging.getLogger(service.name).exception("service %s failed", service.name)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _context(self, report: int) -> ServiceContext:
        def ready(facts: Mapping[str, object]) -> None:
            with os.fdopen(report, "wb") as pipe:
                pipe.write(json.dumps(dict(facts), default=str).encode() + b"\n")

        options = self.settings.get("options")
        return ServiceContext(
            cluster=str(self.settings["name"]),
            run_dir=RUN_DIR,
            state_dir=self.state_dir,
            api_url=API_ADDRESS,
            token=str(self.settings["token"]),
            ready=ready,
            listen_fds={"api": int(str(self.settings["api_fd"]))},
            options={str(k): str(v) for k, v in options.items()} if isinstance(options, dict) else {},
        )

    def _next_restart(self) -> float | None:
        due = [one.restart_at for one in self.services.values() if one.restart_at is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _restart_due(self) -> None:
        for running in self.services.values():
            if running.restart_at is not None and running.restart_at <= time.monotonic() and not self.stopping:
                running.restart_at = None
                self._fork(running)

    def _stop(self) -> int:
        """End the services by SIGTERM, those that others need last; what is left after a deadline ends with us."""
        needed = {name for one in self.services.values() if one.pid for name in one.service.after}
        deadline = time.monotonic() + self.stop_seconds
        for last in (False, True):
            alive = {one.pid for name, one in self.services.items() if one.pid and (name in needed) is last}
            for pid in alive:
                os.kill(pid, signal.SIGTERM)
            self._await_ends(alive, deadline)
        return 0 if self.complete else 1

    def _await_ends(self, alive: set[int], deadline: float) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._wake, selectors.EVENT_READ)
            while alive and (left := deadline - time.monotonic()) > 0:
                if waiting.select(left):
                    self._wake.recv(4096)
                alive -= {pid for pid, _ in _reap()}

    # Words to the outside

    def _tell(self, service: str, state: str, **more: object) -> None:
        if not self.control_open:
            return
        seconds = round(time.monotonic() - self._started, 3)
        line = json.dumps({"service": service, "state": state, "seconds": seconds, **more}, default=str)
        try:
            self.control.sendall(line.encode() + b"\n")
        except OSError:
            self.control_open = False  # seen again as end of file, which decides what follows

    def _write_services(self) -> None:
        table = {
            name: {"state": one.state, "pid": one.pid, "restarts": one.restarts, "facts": one.facts}
            for name, one in self.services.items()
        }
        path = self.state_dir / "services.json"
        draft = path.with_suffix(".new")
        try:
            draft.write_text(json.dumps(table, default=str))
            draft.replace(path)
        except OSError:
            _LOG.exception("services.json cannot be written; `kubinet status` shows an older state")

    def _log_file(self, service: str) -> Path:
        return self.state_dir / "logs" / f"{service}.log"


def _reap() -> Iterator[tuple[int, int]]:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def main() -> int:
    """`python -m topologies.supervisor STATE_DIR CONTROL_FD`, as pid 1 of a new sandbox."""
    state_dir, control_fd = Path(sys.argv[1]), int(sys.argv[2])
    logging.basicConfig(level=logging.INFO, format=_LOG_FORMAT)
    furnish()
    raise_loopback()
    RUN_DIR.mkdir()
    settings = json.loads((state_dir / "settings.json").read_text())
    for fd in (control_fd, int(settings["api_fd"])):
        os.set_inheritable(fd, False)  # for our own forks, not for the programs that they start
    return Supervisor(settings, state_dir, socket.socket(fileno=control_fd)).run()


if __name__ == "__main__":
    sys.exit(main())
