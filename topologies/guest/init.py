"""The guest's first process: furnishes the guest, runs one command and waits for its end.

Started by the kernel or its initramfs as `python -I -S init.py SPEC`; needs only the standard library. The root file
system is the host's, read-only (hostfs or 9p); over it lies a memory file system (overlay), so that every path can be
written and nothing of it reaches the host, except in the folders that the specification shares. The command's output
and the messages to the host travel over three character devices, consoles or virtio ports, which are pipes on the host.
"""

import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import termios
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MS_NOSUID = 2
_MS_BIND = 4096
_MNT_DETACH = 2
_POWER_OFF = 0x4321FEDC
_SYS_PIVOT_ROOT = 155
_SYS_FINIT_MODULE = 313
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_CHUNK = 65536
_CLOCK_MONOTONIC = 1
_TIMER_ABSTIME = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _mount(source: str, target: str, kind: str | None, flags: int = 0, data: str = "") -> None:
    Path(target).mkdir(parents=True, exist_ok=True)
    kind_bytes = kind.encode() if kind is not None else None
    _check(_libc.mount(source.encode(), target.encode(), kind_bytes, flags, data.encode()), f"mount {target}")


def load_order(dependencies: str, wanted: list[str]) -> Iterator[str]:
    """The module files to load, dependencies first, out of a `modules.dep`; LookupError names a missing module."""
    files: dict[str, str] = {}
    needs: dict[str, list[str]] = {}
    for line in dependencies.splitlines():
        file, _, rest = line.partition(":")
        files[Path(file).stem.replace("-", "_")] = file
        needs[file] = rest.split()
    done: set[str] = set()
    for module in wanted:
        name = module.replace("-", "_")
        if name not in files:
            raise LookupError(f"the guest kernel has no module {module!r}")
        # depmod lists a module's whole closure, nearest first.
        for file in [*reversed(needs[files[name]]), files[name]]:
            if file not in done:
                done.add(file)
                yield file


def _load_modules(folder: Path, wanted: list[str]) -> None:
    builtin = {Path(line).stem.replace("-", "_") for line in (folder / "modules.builtin").read_text().splitlines()}
    loadable = [module for module in wanted if module.replace("-", "_") not in builtin]
    for file in load_order((folder / "modules.dep").read_text(), loadable):
        fd = os.open(folder / file, os.O_RDONLY | os.O_CLOEXEC)
        if _libc.syscall(_SYS_FINIT_MODULE, fd, b"", 0) != 0 and ctypes.get_errno() != errno.EEXIST:
            _check(-1, f"load module {file}")
        os.close(fd)


def _lay_over_root() -> None:
    """Put an overlay with its writable part in memory over the host's files and make it the root."""
    _mount("tmpfs", "/tmp", "tmpfs", data="mode=0755,size=75%")  # noqa: S108
    for name in ("upper", "work", "root"):
        Path("/tmp", name).mkdir()  # noqa: S108
    # An ordinary user's guest sees the host's root as nobody: programs with its set-user-id bit would lose root.
    _mount("overlay", "/tmp/root", "overlay", _MS_NOSUID, "lowerdir=/,upperdir=/tmp/upper,workdir=/tmp/work")  # noqa: S108
    os.chdir("/tmp/root")  # noqa: S108
    # pivot_root(2): with both arguments "." the old root lies over the new one and is taken off it.
    _check(_libc.syscall(_SYS_PIVOT_ROOT, b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _MNT_DETACH), "umount the old root")
    os.chdir("/")


def _furnish(spec: dict[str, Any]) -> None:
    _mount("proc", "/proc", "proc")
    _mount("sysfs", "/sys", "sysfs")
    _mount("cgroup2", "/sys/fs/cgroup", "cgroup2")
    _mount("devtmpfs", "/dev", "devtmpfs")
    _mount("devpts", "/dev/pts", "devpts", data="ptmxmode=0666,mode=0620")
    _mount("tmpfs", "/dev/shm", "tmpfs", data="mode=1777")  # noqa: S108
    _mount("tmpfs", "/run", "tmpfs", data="mode=0755")
    # Modules under their usual path: modprobe and the kernel's own loading on demand find them.
    modules = Path(spec["modules_dir"])
    _mount(str(modules), f"/lib/modules/{modules.name}", None, _MS_BIND)
    for share in spec["shares"]:
        _mount(share["source"], share["folder"], share["kind"], data=share["options"])
    _mount("tmpfs", spec["memory_folder"], "tmpfs", data="mode=0755")
    for folder in spec["make_folders"]:
        Path(folder).mkdir(parents=True, exist_ok=True)
    Path("/proc/sys/kernel/hostname").write_text("guest")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        _, flags = struct.unpack("16sh14x", request)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _wait_for_uptime(seconds: float) -> None:
    """Until the clock that starts at boot shows that much (clock_nanosleep(2))."""
    until = struct.pack("2q", int(seconds), int(seconds % 1 * 1e9))
    while _libc.clock_nanosleep(_CLOCK_MONOTONIC, _TIMER_ABSTIME, until, None) == errno.EINTR:
        continue


class Line:
    """A character device that is a pipe on the host; bytes pass unchanged."""

    def __init__(self, pattern: str) -> None:
        [device] = Path("/").glob(pattern.lstrip("/"))
        self._fd = os.open(device, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
        self.written = 0
        if os.isatty(self._fd):
            settings = termios.tcgetattr(self._fd)
            settings[1] &= ~termios.OPOST
            termios.tcsetattr(self._fd, termios.TCSANOW, settings)

    def write(self, data: bytes) -> None:
        """Write all of it; waits while the host does not read."""
        while data:
            count = os.write(self._fd, data)
            self.written += count
            data = data[count:]


def _relay(source: int, line: Line) -> bool:
    """Pass on one piece; False at the end of the stream or when nothing waits."""
    try:
        data = os.read(source, _CHUNK)
    except BlockingIOError:
        return False
    line.write(data)
    return bool(data)


def _run(spec: dict[str, Any], out: Line, err: Line) -> int:
    """Run the command, pass on its output and bury every orphan; its exit status, negative for a signal."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    os.set_blocking(wake_read, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    pipes = {"out": os.pipe(), "err": os.pipe()}
    os.chdir(spec["cwd"])
    try:
        command = os.posix_spawnp(
            spec["argv"][0],
            spec["argv"],
            spec["environment"],
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, pipes["out"][1], 1),
                (os.POSIX_SPAWN_DUP2, pipes["err"][1], 2),
            ],
            setsid=True,
            setsigdef=[signal.SIGPIPE, signal.SIGCHLD],
        )
    except OSError as error:
        err.write(f"{spec['argv'][0]}: {error.strerror}\n".encode())
        return 127 if isinstance(error, FileNotFoundError) else 126
    lines = {pipes["out"][0]: out, pipes["err"][0]: err}
    for _, end in pipes.values():
        os.close(end)
    poll = select.poll()
    for fd in (*lines, wake_read):
        poll.register(fd, select.POLLIN)
        os.set_blocking(fd, False)
    while True:
        for fd, _ in poll.poll():
            if fd != wake_read:
                if not _relay(fd, lines[fd]):
                    poll.unregister(fd)
                continue
            os.read(wake_read, _CHUNK)
            for pid, status in _dead():
                if pid == command:
                    for source, line in lines.items():
                        while _relay(source, line):
                            continue
                    return os.waitstatus_to_exitcode(status)


def _dead() -> Iterator[tuple[int, int]]:
    """Every child that has ended: pid and wait status."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def main(spec_file: str) -> None:
    """Furnish, run, report; then wait until the host, which knows how much there is to read, ends the guest."""
    _mount("proc", "/proc", "proc")
    spec = json.loads(Path(spec_file).read_text())
    out, err, control = (Line(pattern) for pattern in spec["lines"])

    def say(**message: object) -> None:
        control.write(json.dumps(message).encode() + b"\n")

    try:
        modules = Path(spec["modules_dir"])
        _load_modules(modules, ["overlay"])
        _lay_over_root()
        _furnish(spec)
        # Only now: a module may ask for others, which the kernel loads with modprobe.
        _load_modules(modules, spec["modules"])
        _wait_for_uptime(spec["uptime"])
        # The interpreter searches the new root's folders from now on as `python` of the environment asks.
        os.environ["PATH"] = spec["environment"].get("PATH", os.defpath)
        say(event="booted")
        exit_code = _run(spec, out, err)
        os.sync()
        say(event="ended", exit_code=exit_code, stdout_bytes=out.written, stderr_bytes=err.written)
    except (OSError, LookupError) as error:
        say(event="failed", error=str(error))
    while True:
        signal.pause()


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    _libc.reboot(_POWER_OFF)
