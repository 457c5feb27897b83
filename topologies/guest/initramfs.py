"""The virtual machine's first file system: busybox, modules, and a script that makes the host's files the root.

The format is that of the kernel's Documentation/driver-api/early-userspace/buffer-format.rst ("newc" of cpio(5)).
"""

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from kubinet.errors import MissingCapabilityError
from topologies.guest.init import load_order

ROOT_TAG = "root"
"""The 9p tag under which the host's files are offered."""
_MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p")
_PACKET_BYTES = 512_000
_FOLDER, _PROGRAM = 0o40755, 0o100755

_SCRIPT = """#!/bin/busybox sh
busybox=/bin/busybox
$busybox mount -t devtmpfs none /dev
{load}
$busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize={packet} {tag} /root
$busybox mount --move /dev /root/dev
exec $busybox switch_root /root "$@"
"""


def archive(files: Mapping[str, bytes]) -> bytes:
    """A cpio archive ("newc") of programs by path without a leading slash; the folders around them are made."""
    folders = sorted({str(parent) for name in files for parent in PurePosixPath(name).parents} - {"."})
    entries = [(name, _FOLDER, b"") for name in (*folders, "dev", "root")]
    entries += [(name, _PROGRAM, data) for name, data in files.items()]
    parts = [_entry(number, *entry) for number, entry in enumerate(entries, start=1)]
    return b"".join([*parts, _entry(0, "TRAILER!!!", 0, b"")])


def _entry(number: int, name: str, mode: int, data: bytes) -> bytes:
    path = name.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, device (4), length of the name, checksum.
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def script(modules: Iterable[str]) -> str:
    """What the kernel runs first: load, mount the host's files read-only, go on there with the kernel's arguments."""
    load = "\n".join(f"$busybox insmod /modules/{PurePosixPath(module).name}" for module in modules)
    return _SCRIPT.format(load=load, packet=_PACKET_BYTES, tag=ROOT_TAG)


def build(modules_dir: Path) -> bytes:
    """The archive for the kernel with these modules; MissingCapabilityError without busybox."""
    program = shutil.which("busybox")
    if program is None:
        raise MissingCapabilityError("the virtual machine needs busybox to start: run `apt install busybox`")
    modules = list(load_order((modules_dir / "modules.dep").read_text(), list(_MODULES)))
    files = {"init": script(modules).encode(), "bin/busybox": Path(program).read_bytes()}
    files |= {str(library).lstrip("/"): library.read_bytes() for library in _libraries(program)}
    files |= {f"modules/{PurePosixPath(module).name}": (modules_dir / module).read_bytes() for module in modules}
    return archive(files)


def _libraries(program: str) -> Sequence[Path]:
    """The shared libraries that a program loads, by ldd(1); none for a static one."""
    asked = subprocess.run(["ldd", program], capture_output=True, text=True, check=False, timeout=20)
    return [Path(found) for found in re.findall(r"(/\S+) \(0x", asked.stdout)]
