"""A container's root file system: the machine's programs, and nothing that a container could change.

The root is a tmpfs of the container's own. Below it: overlays over the machine's /usr, /etc and /var that keep every
write in the tmpfs; other folders of programs read-only; empty /tmp, /run, /home, /root; /proc of the container's pid
namespace; a minimal /dev; read-only /sys. Users' home folders are not there.

One overlay over `/` would be simpler, but in a user namespace the kernel refuses a lower folder with mounts below it
that came from outside (clone_private_mount and locked mounts).
"""

# Runs in a fork where every touched page is copied: plain strings and os calls instead of Path objects.
# ruff: noqa: PTH101, PTH102, PTH103, PTH108, PTH110, PTH114, PTH115, PTH116, PTH120, PTH123, PTH208, PTH211

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubinet import syscalls as sys

WRITABLE: Final[tuple[str, ...]] = ("etc", "usr", "var")
"""Folders of the machine that containers see and may change for themselves."""

READ_ONLY: Final[tuple[str, ...]] = ("bin", "lib", "lib32", "lib64", "libx32", "opt", "sbin")
"""Folders of the machine that containers see."""

SCRATCH_SIZE: Final = "512m"
"""Most that a container may write outside of volumes; memory, taken only as it is written."""

DEVICES: Final = ("full", "null", "random", "tty", "urandom", "zero")

PROTECTED_PROC: Final = ("sys", "sysrq-trigger", "irq", "bus")
"""Parts of /proc that would change the machine."""


@dataclass(frozen=True, slots=True)
class MachineView:
    """Which parts of the machine containers see; the same for all of them."""

    overlays: tuple[str, ...]
    binds: tuple[str, ...]
    symlinks: tuple[tuple[str, str], ...]
    """(name, target) of top-level links, as `bin` -> `usr/bin`."""
    overlay_options: str
    """More mount options for overlays, or empty."""
    own_folders: str = ""
    """A layer to put between the container's writes and the machine's folders (see `ownfolders`), or empty."""

    def shows(self, path: Path) -> bool:
        """Is this absolute path of the machine there in containers?"""
        return len(path.parts) > 1 and path.parts[1] in {*self.overlays, *self.binds, *(n for n, _ in self.symlinks)}


def machine_view(entries: Mapping[str, str | None], *, overlays: bool, user_namespace: bool) -> MachineView:
    """What to show, from the machine's top-level entries: name -> target of a link, or None for a folder.

    Without overlays /usr and /var are read-only and /etc is a folder of links (see `_link_etc`).
    """
    folders = {name for name, target in entries.items() if target is None}
    writable = tuple(name for name in WRITABLE if name in folders)
    read_only = tuple(name for name in READ_ONLY if name in folders)
    links = tuple(
        (name, target) for name, target in sorted(entries.items()) if target is not None and name in READ_ONLY
    )
    if not overlays:
        read_only += tuple(name for name in writable if name != "etc")
        writable = ()
    return MachineView(writable, read_only, links, "userxattr" if user_namespace else "")


def top_level_entries() -> dict[str, str | None]:
    """The machine's top-level folders and links, for `machine_view`."""
    with os.scandir("/") as entries:
        return {
            entry.name: str(Path(entry.path).readlink()) if entry.is_symlink() else None
            for entry in entries
            if entry.is_symlink() or entry.is_dir()
        }


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or folder to show in the container."""

    source: str
    target: str
    read_only: bool


def enter(
    view: MachineView, scratch: str, files: Mapping[str, str], links: Mapping[str, str], binds: Iterable[Bind]
) -> None:
    """Build the root file system and make it the caller's root; the caller is alone in its mount and pid namespace.

    `files`: path -> text of the pod's own files (resolv.conf …). `links`: path -> target. `binds` come last, in order.
    """
    sys.mount("kubinet", scratch, "tmpfs", sys.MS_NOSUID | sys.MS_NODEV, f"mode=755,size={SCRATCH_SIZE}")
    root = f"{scratch}/root"
    os.mkdir(root, 0o755)
    sys.mount(root, root, flags=sys.MS_BIND)
    for name, target in view.symlinks:
        os.symlink(target, f"{root}/{name}")
    for name in view.binds:
        os.mkdir(f"{root}/{name}")
        sys.bind(f"/{name}", f"{root}/{name}", read_only=True)
    for name in view.overlays:
        _overlay(view, scratch, name)
    for name, mode in (("home", 0o755), ("root", 0o700), ("run", 0o755), ("tmp", 0o1777)):
        os.mkdir(f"{root}/{name}")
        os.chmod(f"{root}/{name}", mode)
    if "etc" not in view.overlays:
        _link_etc(root)
    _make_dev(root)
    _make_proc_and_sys(root)
    for path, text in files.items():
        _replace(f"{root}{path}")
        with open(f"{root}{path}", "w", encoding="utf-8") as file:
            file.write(text)
    for path, target in links.items():
        _replace(f"{root}{path}")
        os.symlink(target, f"{root}{path}")
    for bind in binds:
        make_mount_point(root, bind)
        sys.bind(bind.source, _below(root, bind.target), read_only=bind.read_only)
    sys.pivot_to(root)


def _overlay(view: MachineView, scratch: str, name: str) -> None:
    upper, work, target = f"{scratch}/{name}.upper", f"{scratch}/{name}.work", f"{scratch}/root/{name}"
    for folder in (upper, work, target):
        os.mkdir(folder, 0o755)
    lower = f"{view.own_folders}/{name}:/{name}" if view.own_folders else f"/{name}"
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    sys.mount("overlay", target, "overlay", sys.MS_NODEV, ",".join(filter(None, (options, view.overlay_options))))


def _link_etc(root: str) -> None:
    """Without overlays: /etc is writable, each of the machine's entries a link into a read-only view of /etc."""
    os.mkdir(f"{root}/etc")
    os.makedirs(f"{root}/run/machine/etc")
    sys.bind("/etc", f"{root}/run/machine/etc", read_only=True)
    for name in os.listdir("/etc"):
        os.symlink(f"/run/machine/etc/{name}", f"{root}/etc/{name}")


def _make_dev(root: str) -> None:
    dev = f"{root}/dev"
    os.mkdir(dev, 0o755)
    for name in DEVICES:
        os.close(os.open(f"{dev}/{name}", os.O_CREAT | os.O_WRONLY, 0o666))
        sys.mount(f"/dev/{name}", f"{dev}/{name}", flags=sys.MS_BIND)
    os.mkdir(f"{dev}/pts")
    sys.mount("devpts", f"{dev}/pts", "devpts", sys.MS_NOSUID | sys.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    os.mkdir(f"{dev}/shm")
    os.chmod(f"{dev}/shm", 0o1777)  # noqa: S103 - as every /dev/shm
    for name, target in (
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ):
        os.symlink(target, f"{dev}/{name}")


def _make_proc_and_sys(root: str) -> None:
    safe = sys.MS_NOSUID | sys.MS_NODEV | sys.MS_NOEXEC
    os.mkdir(f"{root}/proc")
    sys.mount("proc", f"{root}/proc", "proc", safe)
    for name in PROTECTED_PROC:
        path = f"{root}/proc/{name}"
        if os.path.exists(path):
            sys.bind(path, path, read_only=True)
    os.mkdir(f"{root}/sys")
    try:
        sys.mount("sysfs", f"{root}/sys", "sysfs", safe | sys.MS_RDONLY)
    except PermissionError:
        # The kernel gives a user namespace a sysfs of its own only where nothing hides parts of the existing one.
        sys.bind("/sys", f"{root}/sys", read_only=True)


def _replace(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.unlink(path)


def _below(root: str, target: str) -> str:
    """`target` inside the new root, with the links in it followed as the container would follow them."""
    path = root
    pending = [part for part in target.split("/") if part not in ("", ".")]
    links = 0
    while pending:
        part = pending.pop(0)
        if part == "..":
            path = path if path == root else os.path.dirname(path)
            continue
        step = f"{path}/{part}"
        if not os.path.islink(step):
            path = step
            continue
        links += 1
        if links > 40:  # ELOOP, as path_resolution(7)
            raise OSError(f"{target}: too many links")
        link = os.readlink(step)
        pending = [piece for piece in link.split("/") if piece not in ("", ".")] + pending
        path = root if link.startswith("/") else path
    return path


def make_mount_point(root: str, bind: Bind) -> None:
    """A file or folder for `bind.target` to be mounted on, as its source is."""
    target = _below(root, bind.target)
    if os.path.exists(target):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if stat.S_ISDIR(os.stat(bind.source).st_mode):
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
