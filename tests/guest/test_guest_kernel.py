"""The guest itself, with each kernel: boots, has its modules, keeps the host's files as they are, ends in time."""

import time
from pathlib import Path

import pytest

from kubinet.errors import DeadlineError, UsageError
from topologies.guest import GuestError, Kernel, run_in_guest

NETWORK = ("openvswitch", "sch_netem", "vxlan", "geneve")


def guest_kernels() -> list[str]:
    """The command lines of running guest kernels' processes (stubs and zombies have none of their own)."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except (FileNotFoundError, ProcessLookupError):
                continue
    return [line for line in found if "linux.uml" in line or "qemu-system" in line]


def test_guest_has_the_modules_that_the_host_may_lack(kernel: Kernel) -> None:
    """The guest boots and has openvswitch, sch_netem, vxlan and geneve loaded."""
    result = run_in_guest(["cat", "/proc/modules"], timeout=90, kernel=kernel)
    loaded = {line.split()[0] for line in result.stdout.decode().splitlines()}
    assert result.exit_code == 0
    assert loaded.issuperset(NETWORK)
    assert "Linux version" in result.console


def test_guest_command_output_and_status_come_back_apart(kernel: Kernel) -> None:
    """Standard output, standard error and the exit status of a command in the guest reach the host unchanged."""
    argv = ["sh", "-c", r"printf 'a\nb\000\377'; printf oops >&2; exit 7"]
    result = run_in_guest(argv, timeout=60, modules=(), kernel=kernel)
    assert (result.exit_code, result.stdout, result.stderr) == (7, b"a\nb\x00\xff", b"oops")


def test_guest_passes_on_megabytes(kernel: Kernel) -> None:
    """Three megabytes of output arrive complete."""
    script = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 12000)"
    result = run_in_guest(["python", "-c", script], timeout=90, modules=(), kernel=kernel)
    assert result.stdout == bytes(range(256)) * 12000


def test_guest_writes_stay_in_the_guest_except_in_writable_folders(kernel: Kernel, tmp_path: Path) -> None:
    """A file that the guest writes is gone with it; one in a writable folder is on the host afterwards."""
    kept, lost = tmp_path / "kept", tmp_path / "lost"
    kept.mkdir()
    lost.mkdir()
    script = f"echo one > {lost}/file && cat {lost}/file && echo two > {kept}/file"
    result = run_in_guest(["sh", "-c", script], timeout=60, modules=(), writable=[kept], kernel=kernel)
    assert (result.exit_code, result.stdout, result.stderr) == (0, b"one\n", b"")
    assert (kept / "file").read_text() == "two\n"
    assert list(lost.iterdir()) == []


def test_guest_cannot_reach_the_host_files_by_mounting_them_again(kernel: Kernel, tmp_path: Path) -> None:
    """Even a guest that mounts the host's file system itself finds it read-only."""
    mount = {
        Kernel.UML: "mount -t hostfs none /run/host -o /",
        Kernel.QEMU: "mount -t 9p root /run/host -o trans=virtio,version=9p2000.L",
    }
    script = f"mkdir /run/host && {mount[kernel]} && touch /run/host{tmp_path}/file"
    result = run_in_guest(["sh", "-c", script], timeout=60, modules=(), kernel=kernel)
    assert result.exit_code != 0
    # The virtual machine's 9p channel, read-only besides, is taken by the root already.
    words = {Kernel.UML: b"Read-only file system", Kernel.QEMU: b"root already mounted"}
    assert words[kernel] in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_guest_that_takes_too_long_is_ended_with_all_its_processes(kernel: Kernel) -> None:
    """Past its timeout the guest is killed within seconds, the error tells what ran, and none of it is left."""
    before = len(guest_kernels())
    # An emulated machine boots in 5 to 15 s.
    timeout = {Kernel.UML: 8, Kernel.QEMU: 30}[kernel]
    words = rf"still running `sh -c echo at work >&2; sleep 1000` after {timeout} s"
    began = time.monotonic()
    with pytest.raises(DeadlineError, match=words) as error:
        run_in_guest(["sh", "-c", "echo at work >&2; sleep 1000"], timeout=timeout, modules=(), kernel=kernel)
    assert time.monotonic() - began < timeout + 12
    assert "at work" in str(error.value)
    assert len(guest_kernels()) <= before


def test_guest_names_the_module_that_its_kernel_lacks(kernel: Kernel) -> None:
    """A module that the guest kernel does not have is named, with the end of the console."""
    with pytest.raises(GuestError, match="the guest kernel has no module 'mpls_nonsense'"):
        run_in_guest(["true"], timeout=60, modules=("mpls_nonsense",), kernel=kernel)


def test_guest_command_that_does_not_exist_has_the_shells_status(kernel: Kernel) -> None:
    """A command that is not found ends with status 127 and its name on standard error."""
    result = run_in_guest(["no-such-command"], timeout=60, modules=(), kernel=kernel)
    assert (result.exit_code, result.stderr) == (127, b"no-such-command: No such file or directory\n")


def test_guest_needs_folders_that_exist() -> None:
    """A writable folder that does not exist is refused before anything starts."""
    with pytest.raises(UsageError, match="cannot write to /nonexistent"):
        run_in_guest(["true"], timeout=60, writable=[Path("/nonexistent")])
