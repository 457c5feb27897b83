"""The guest's parts that need no guest: which kernel, how it is started, what its first files are."""

import subprocess
from pathlib import Path

import pytest

from kubinet.errors import MissingCapabilityError
from topologies.guest import Kernel, choose_kernel
from topologies.guest.debian import cached, kernel_package
from topologies.guest.initramfs import archive, script
from topologies.guest.qemu import accelerator
from topologies.guest.run import console_end, stalled


@pytest.mark.parametrize(
    ("asked", "available", "chosen"),
    [
        (Kernel.AUTO, True, Kernel.QEMU),
        (Kernel.AUTO, False, Kernel.UML),
        (Kernel.UML, True, Kernel.UML),
        (Kernel.QEMU, False, Kernel.QEMU),
    ],
)
def test_auto_is_the_virtual_machine_where_it_can_be_had(asked: Kernel, available: bool, chosen: Kernel) -> None:
    """`auto` takes the kernel that tracks connections; a kernel asked for by name is never replaced."""
    assert choose_kernel(asked, qemu_available=available) is chosen


@pytest.mark.parametrize(
    ("flags", "opens", "kind"),
    [
        ("fpu vmx sse2", True, "kvm"),
        ("fpu svm", True, "kvm"),
        ("fpu vmx", False, "tcg"),
        ("fpu hypervisor", True, "tcg"),
    ],
)
def test_kvm_is_used_only_with_the_processors_own_virtualisation(flags: str, opens: bool, kind: str) -> None:
    """A /dev/kvm without vmx or svm among the processor's flags does not start Debian's kernel: it is emulated then."""
    assert accelerator(f"processor\t: 0\nflags\t\t: {flags}\n", kvm_opens=opens) == kind
    assert accelerator("", kvm_opens=opens) == "tcg"


def test_the_first_files_are_an_archive_that_cpio_readers_read(tmp_path: Path) -> None:
    """busybox's cpio lists every program and the folders around it, and gives the contents back."""
    data = archive({"init": b"#!/bin/sh\n", "lib/x/libc.so": b"\x7fELF"})
    argv = ["busybox", "cpio", "-idv"]
    listed = subprocess.run(argv, input=data, capture_output=True, cwd=tmp_path, timeout=20, check=True)
    # Both streams: the version decides to which names go, and the count of blocks.
    names = {line for line in (listed.stdout + listed.stderr).decode().split("\n") if line and "blocks" not in line}
    assert names == {"lib", "lib/x", "dev", "root", "init", "lib/x/libc.so"}
    assert (tmp_path / "lib/x/libc.so").read_bytes() == b"\x7fELF"
    assert (tmp_path / "init").stat().st_mode & 0o777 == 0o755


def test_the_first_script_loads_in_order_and_goes_on_in_the_hosts_files() -> None:
    """Modules are loaded by their file names in the order given, then the root is mounted read-only and entered."""
    lines = script(["kernel/net/9p/9pnet.ko", "kernel/fs/9p/9p.ko"]).splitlines()
    loads = [line for line in lines if "insmod" in line]
    assert loads == ["$busybox insmod /modules/9pnet.ko", "$busybox insmod /modules/9p.ko"]
    mount = lines.index(next(line for line in lines if "mount -t 9p" in line))
    assert "-o ro," in lines[mount]
    assert lines[-1] == 'exec $busybox switch_root /root "$@"'
    assert lines.index(loads[-1]) < mount


def test_the_kernels_package_is_what_the_meta_package_depends_on() -> None:
    """`linux-image-amd64` names the package with the kernel; where apt does not know it, the remedy is said."""
    answer = "linux-image-amd64\n  Depends: linux-image-6.1.0-56-amd64\n"
    assert kernel_package(answer) == "linux-image-6.1.0-56-amd64"
    with pytest.raises(MissingCapabilityError, match=r"run `apt-get update`.*or use `--kernel uml`"):
        kernel_package("")


def test_the_newest_unpacked_kernel_is_used(tmp_path: Path) -> None:
    """6.1.0-56 is newer than 6.1.0-9; a kernel whose unpacking did not end has no modules.dep and does not count."""
    assert cached(tmp_path) is None
    for release in ("6.1.0-9-amd64", "6.1.0-56-amd64"):
        modules = tmp_path / f"linux-image-{release}" / "lib" / "modules" / release
        modules.mkdir(parents=True)
        (modules / "modules.dep").touch()
    (tmp_path / "linux-image-6.1.0-99-amd64/lib/modules/6.1.0-99-amd64").mkdir(parents=True)
    found = cached(tmp_path)
    assert found is not None
    assert found.image == tmp_path / "linux-image-6.1.0-56-amd64/boot/vmlinuz-6.1.0-56-amd64"
    assert found.modules_dir.name == "6.1.0-56-amd64"


def test_the_consoles_end_keeps_the_kernels_verdict() -> None:
    """The last 25 lines, and before them the line that says why, though a stack of calls has pushed it out."""
    stack = [f"[ 9.{number:02}] call {number}" for number in range(40)]
    said = "\n".join(["[ 1.00] booted", "[ 8.00] watchdog: BUG: soft lockup - CPU#0 stuck for 60s!", *stack])
    assert console_end(said).splitlines() == [
        "its console ends with:",
        "[ 8.00] watchdog: BUG: soft lockup - CPU#0 stuck for 60s!",
        *stack[-25:],
    ]
    assert console_end("one\ntwo") == "its console ends with:\none\ntwo"


@pytest.mark.parametrize(
    ("verdict", "is_stall"),
    [
        ("[  107.3] Kernel panic - not syncing: RCU Stall", True),
        ("[  107.3] Kernel panic - not syncing: softlockup: hung tasks", True),
        ("[  107.3] rcu: INFO: rcu_preempt self-detected stall on CPU", False),
        ("[  107.3] Kernel panic - not syncing: VFS: Unable to mount root fs", False),
    ],
)
def test_a_processor_that_stood_still_is_told_from_other_ends(verdict: str, is_stall: bool) -> None:
    """Only a kernel that ended itself over a stall is worth a second start; a warning about one is not an end."""
    assert stalled(f"booting\n{verdict}\nmore") is is_stall
