"""Run one command in a guest: start, relay what it writes, bound in time, and leave nothing behind."""

import contextlib
import json
import os
import re
import select
import selectors
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubinet import sandbox
from kubinet.errors import DeadlineError, KubinetError, UsageError
from topologies.guest import qemu, spec, uml

_CHUNK = 65536
_CONSOLE_LINES = 25
_VERDICT = re.compile(r"BUG: |Kernel panic|Oops|Out of memory|self-detected stall|blocked for more than")
_STALL = re.compile(r"Kernel panic.*(?:RCU Stall|softlockup|hung tasks)")
_VERDICTS = 5
_POWER_OFF_SECONDS = 20.0
# Not below /run: a cluster's sandbox has a /run of its own.
_MEMORY = Path("/var/lib/kubinet-guest")
_TEMPORARY = _MEMORY / "tmp"
_STATE = _MEMORY / "state"


class GuestError(KubinetError):
    """The guest did not boot or died; the text has the end of its console."""


class GuestStalledError(GuestError):
    """The guest's kernel ended itself: an emulated processor stood still. Another start usually goes through."""


@dataclass(frozen=True, slots=True)
class GuestResult:
    """How the command ended."""

    exit_code: int
    """Negative: the number of the signal that ended it; 127 and 126 as a shell's: not found, not runnable."""
    stdout: bytes
    stderr: bytes
    boot_seconds: float
    """From the call until the guest was furnished and about to start the command."""
    console: str
    """What the guest's kernel said."""


def guest_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """A small environment of the command's own: nothing of the caller's but HOME and the language, then `extra`."""
    path = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {
        "PATH": path,
        "HOME": os.environ.get("HOME", "/root"),
        "USER": "root",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "TMPDIR": str(_TEMPORARY),
        "XDG_STATE_HOME": str(_STATE),
        # Compiled files would only fill the guest's memory.
        "PYTHONDONTWRITEBYTECODE": "1",
        **extra,
    }


def choose_kernel(asked: spec.Kernel, *, qemu_available: bool) -> spec.Kernel:
    """`auto`: the virtual machine where it is available, since only its datapath tracks connections."""
    if asked is not spec.Kernel.AUTO:
        return asked
    return spec.Kernel.QEMU if qemu_available else spec.Kernel.UML


def run_in_guest(
    argv: Sequence[str],
    *,
    timeout: float,
    memory_mb: int = 1024,
    modules: Sequence[str] = spec.DEFAULT_MODULES,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    writable: Sequence[Path] = (),
    on_output: Callable[[bool, bytes], None] | None = None,
    kernel: spec.Kernel = spec.Kernel.AUTO,
) -> GuestResult:
    """Boot a guest, run `argv` there as its root and power off; within `timeout` seconds altogether.

    The guest sees the host's files; what it writes is gone with it, except in the `writable` folders. It has no network
    but its own loopback. `on_output(is_stderr, data)` is called for every piece of output as it comes.
    Raises MissingCapabilityError (no guest kernel), GuestError (it did not boot), GuestStalledError (its kernel says
    that a processor stood still), DeadlineError (time is up).
    """
    started = time.monotonic()
    if not argv:
        raise UsageError("no command for the guest was given")
    folders = [_existing_folder(folder) for folder in writable]
    with contextlib.ExitStack() as stack:
        private = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kubinet-guest-")))
        console = private / "console.log"
        console_fd = os.open(console, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, console_fd)
        streams = [_pipe(stack) for _ in range(3)]
        lifeline = _pipe(stack)
        out, err, control = (write.fd for _, write in streams)
        fds = spec.Descriptors(out, err, control, console_fd, lifeline[0].fd)
        spec_file = private / "spec.json"
        flavour = uml if choose_kernel(kernel, qemu_available=qemu.available()) is spec.Kernel.UML else qemu
        boot = flavour.boot(private, spec_file, fds, memory_mb, folders)
        document = spec.specification(
            boot,
            fds,
            argv,
            memory_mb=memory_mb,
            modules=modules,
            environment=guest_environment(environment or {}),
            cwd=(cwd or Path.cwd()).resolve(),
            memory_folder=_MEMORY,
            make_folders=[_TEMPORARY, _STATE],
        )
        spec_file.write_text(json.dumps(document))
        # The first process logs to a device: a file open for writing would keep its mount from becoming read-only.
        first = sandbox.launch(spec.wall_command(spec_file), log=Path(os.devnull), keep_fds=fds.all())
        try:
            process = stack.enter_context(_process(first.pid))
        except ProcessLookupError:
            raise GuestError(f"the guest's first process died at once:\n{console.read_text()}") from None
        for _, write in streams:
            write.close()
        lifeline[0].close()
        relay = _Relay(*(read.fd for read, _ in streams), started=started, on_output=on_output)
        relay.run(started + timeout)
        _end(process)
        said = console.read_text(errors="replace")
    return _judge(argv, timeout, relay, said)


def _judge(argv: Sequence[str], timeout: float, relay: "_Relay", said: str) -> GuestResult:
    end = console_end(said)
    if relay.error is not None:
        raise GuestError(f"the guest could not be furnished: {relay.error}; {end}")
    if relay.exit_code is not None and relay.boot_seconds is not None:
        return GuestResult(relay.exit_code, bytes(relay.stdout), bytes(relay.stderr), relay.boot_seconds, said)
    if not relay.late:
        kind = GuestStalledError if stalled(said) else GuestError
        raise kind(f"the guest died before `{argv[0]}` ended; {end}")
    state = "booting" if relay.boot_seconds is None else f"running `{' '.join(argv)}`"
    errors = "\n".join(relay.stderr.decode(errors="replace").splitlines()[-_CONSOLE_LINES:])
    raise DeadlineError(
        f"the guest was still {state} after {timeout:g} s and was ended (a longer timeout may help); "
        f"the command's errors end with:\n{errors}\n{end}"
    )


def stalled(said: str) -> bool:
    """Whether the kernel ended itself because a processor stood still; `said` is its whole console."""
    return _STALL.search(said) is not None


def console_end(said: str) -> str:
    """The console's last lines, and before them the kernel's own verdicts that are no longer among these."""
    lines = said.splitlines()
    told = [line for line in lines[:-_CONSOLE_LINES] if _VERDICT.search(line)]
    return "\n".join(["its console ends with:", *told[:_VERDICTS], *lines[-_CONSOLE_LINES:]])


class _Relay:
    """Takes what the guest writes until it is off or time is up."""

    def __init__(
        self,
        stdout_fd: int,
        stderr_fd: int,
        control_fd: int,
        *,
        started: float,
        on_output: Callable[[bool, bytes], None] | None,
    ) -> None:
        self.stdout, self.stderr = bytearray(), bytearray()
        self.boot_seconds: float | None = None
        self.exit_code: int | None = None
        self.error: str | None = None
        self.late = False
        self._lengths: tuple[int, int] | None = None
        self._control = bytearray()
        self._started = started
        self._on_output = on_output
        self._takers: dict[int, Callable[[bytes], None]] = {
            stdout_fd: lambda data: self._take_output(False, data),
            stderr_fd: lambda data: self._take_output(True, data),
            control_fd: self._take_message,
        }

    def run(self, deadline: float) -> None:
        """Relay until all that the command wrote is here, the guest is off, or the deadline has passed."""
        with selectors.DefaultSelector() as selector:
            for fd in self._takers:
                selector.register(fd, selectors.EVENT_READ)
            while selector.get_map() and not self._complete():
                ready = selector.select(max(deadline - time.monotonic(), 0))
                if not ready:
                    # After the command's end only what it wrote may still be on its way.
                    self.late = self.exit_code is None
                    break
                for key, _ in ready:
                    data = os.read(key.fd, _CHUNK)
                    if data:
                        self._takers[key.fd](data)
                    else:
                        selector.unregister(key.fd)
                if self.exit_code is not None:
                    deadline = min(deadline, time.monotonic() + _POWER_OFF_SECONDS)

    def _complete(self) -> bool:
        return self.error is not None or self._lengths == (len(self.stdout), len(self.stderr))

    def _take_output(self, is_stderr: bool, data: bytes) -> None:
        (self.stderr if is_stderr else self.stdout).extend(data)
        if self._on_output is not None:
            self._on_output(is_stderr, data)

    def _take_message(self, data: bytes) -> None:
        self._control += data
        *lines, rest = self._control.split(b"\n")
        self._control = bytearray(rest)
        for line in lines:
            message = json.loads(line)
            match message["event"]:
                case "booted":
                    self.boot_seconds = time.monotonic() - self._started
                case "ended":
                    self.exit_code = int(message["exit_code"])
                    self._lengths = int(message["stdout_bytes"]), int(message["stderr_bytes"])
                case "failed":
                    self.error = str(message["error"])


class _End:
    """One end of a pipe that is closed once."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._open = True

    def close(self) -> None:
        """Close it, unless it is closed."""
        if self._open:
            self._open = False
            os.close(self.fd)


def _pipe(stack: contextlib.ExitStack) -> tuple[_End, _End]:
    """A pipe's reading and writing end, both closed with the stack at the latest."""
    read, write = (_End(fd) for fd in os.pipe())
    stack.callback(read.close)
    stack.callback(write.close)
    return read, write


@contextlib.contextmanager
def _process(pid: int) -> Iterator[int]:
    """A descriptor of the process, which is killed when the caller is left by an exception."""
    fd = os.pidfd_open(pid)
    try:
        yield fd
    finally:
        _end(fd)
        os.close(fd)


def _end(process: int) -> None:
    """Kill a pid namespace's first process; it ends after every other of the namespace (pid_namespaces(7))."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)
    select.select([process], [], [], _POWER_OFF_SECONDS)


def _existing_folder(folder: Path) -> Path:
    resolved = folder.resolve()
    if not resolved.is_dir() or not os.access(resolved, os.W_OK):
        raise UsageError(f"the guest cannot write to {folder}: it is no folder that you may write to")
    return resolved
