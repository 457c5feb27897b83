"""The runtime's own process: a fresh, small interpreter, because every container starts as a fork of it.

Arguments: cluster, run folder, state folder, socket, descriptor to say on that it is ready.
"""

import compileall
import gc
import json
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from agents.runtime import oneuser, ownfolders, rootfs
from agents.runtime.cgroups import Cgroups, find_hierarchies
from agents.runtime.loop import Loop
from agents.runtime.mountinfo import parse
from agents.runtime.runtime import Runtime
from agents.runtime.server import Server
from kubinet import syscalls


def main(cluster: str, run_dir: Path, state_dir: Path, socket: Path, ready_fd: int) -> None:
    """Serve until SIGTERM, then end every container."""
    syscalls.die_with_parent(signal.SIGKILL)
    _raise_file_limit()
    mounts = parse(Path("/proc/self/mountinfo").read_text())
    hierarchies = find_hierarchies(mounts, Path("/proc/self/cgroup").read_text())
    groups = Cgroups(hierarchies, cluster)
    home = run_dir / "runtime"
    shutil.rmtree(home, ignore_errors=True)
    (home / "rootfs").mkdir(parents=True)
    shutil.rmtree(state_dir / "pods", ignore_errors=True)
    # A mount namespace of our own: the children's copies of it are private, and mounts for volumes vanish with us.
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    in_user_namespace = Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]
    reason = _try(lambda: _mount_overlay(home / "rootfs", user_namespace=in_user_namespace))
    overlays = not reason
    view = rootfs.machine_view(rootfs.top_level_entries(), overlays=overlays, user_namespace=in_user_namespace)
    if overlays and ownfolders.needed():
        ownfolders.make(home / "folders", view.overlays, mounts=frozenset(mount.target for mount in mounts))
        view = replace(view, own_folders=str(home / "folders"))
    call_filter, changes_of_user = oneuser.choose(
        platform.machine(), alone=oneuser.alone(), attempt=lambda code: _try(lambda: syscalls.filter_calls(code))
    )
    loop = Loop()
    runtime = Runtime(
        loop,
        state_dir=state_dir,
        run_dir=home,
        view=view,
        groups=groups,
        applets=_busybox_applets(home / "busybox"),
        call_filter=call_filter,
    )
    Server(loop, runtime, socket)
    _stop_on_signal(loop, runtime)
    # Containers see our programs read-only, so they could not keep compiled modules.
    for package in ("agnhost", "dns"):
        compileall.compile_dir(Path(__file__).parents[1] / package, quiet=2)
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, every page
    facts = {
        "pid": os.getpid(),
        "root": "overlay" if overlays else f"read-only ({reason})",
        "changes_of_user": changes_of_user,
        "limits_not_enforced": dict(groups.lacking),
    }
    os.write(ready_fd, json.dumps(facts).encode() + b"\n")
    os.close(ready_fd)
    loop.run()


def _raise_file_limit() -> None:
    """Four descriptors per container: take what the machine allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _try(what: Callable[[], None]) -> str:
    """Why this kernel does not do it, or empty. Tried in a child, so that nothing stays behind."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            what()
        except OSError as error:
            os.write(writer, (error.strerror or str(error)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with os.fdopen(reader) as pipe:
        return pipe.read()


def _mount_overlay(scratch: Path, *, user_namespace: bool) -> None:
    """As containers need it."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("kubinet", str(scratch), "tmpfs")
    for name in ("upper", "work", "merged"):
        (scratch / name).mkdir()
    options = f"lowerdir=/usr,upperdir={scratch}/upper,workdir={scratch}/work"
    options += ",userxattr" if user_namespace else ""
    syscalls.mount("overlay", f"{scratch}/merged", "overlay", syscalls.MS_NODEV, options)


def _busybox_applets(folder: Path) -> Path | None:
    """A folder of links, one per applet; None where busybox is missing."""
    busybox = shutil.which("busybox")
    if busybox is None:
        return None
    folder.mkdir()
    listing = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True, timeout=10)
    for name in listing.stdout.split():
        (folder / name).symlink_to(busybox)
    return folder


def _stop_on_signal(loop: Loop, runtime: Runtime) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    received: list[int] = []

    def woken() -> None:
        os.read(reader, 4096)
        # A child writes there, too, when it is signalled before its program runs, as by a container's `kill -1`.
        if received:
            loop.forget(reader)
            runtime.close(loop.stop)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: received.append(got))
    loop.watch(reader, woken)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5]))
