"""The flavour `qemu`: a virtual machine with Debian's stock kernel; its root is the host's by 9p.

It has what user-mode Linux lacks, above all connection tracking with zones and NAT in Open vSwitch's kernel datapath.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from kubinet.errors import MissingCapabilityError
from topologies.guest import debian, initramfs
from topologies.guest.spec import Boot, Descriptors, Share, init_command

PROGRAM = "qemu-system-x86_64"
PROCESSORS = 2
_KVM = Path("/dev/kvm")
# Every write goes to the host at once; modification times and lengths are always the host's.
_SHARE_OPTIONS = "trans=virtio,version=9p2000.L,cache=none,msize=512000"


def available() -> bool:
    """Whether the program is installed and a kernel is there or can be fetched."""
    if shutil.which(PROGRAM) is None or shutil.which("busybox") is None:
        return False
    return debian.cached(debian.cache_folder()) is not None or debian.can_fetch()


def accelerator(cpuinfo: str, *, kvm_opens: bool) -> str:
    """`kvm` where the processor has hardware virtualisation that this user may use, else `tcg` (emulation).

    A /dev/kvm without the processor's flag is a kernel that emulates virtualisation for guests made for it: Debian's
    kernel does not start there.
    """
    flags = next((line.split() for line in cpuinfo.splitlines() if line.startswith("flags")), [])
    return "kvm" if kvm_opens and {"vmx", "svm"} & set(flags) else "tcg"


def boot(scratch: Path, spec_file: Path, fds: Descriptors, memory_mb: int, writable: Sequence[Path]) -> Boot:
    """How it starts; MissingCapabilityError says what to install. `scratch` takes the initramfs."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise MissingCapabilityError(f"{PROGRAM} is missing: run `apt install qemu-system-x86`, or use `--kernel uml`")
    kernel = debian.find()
    first_files = scratch / "initramfs"
    first_files.write_bytes(initramfs.build(kernel.modules_dir))
    kind = accelerator(Path("/proc/cpuinfo").read_text(), kvm_opens=os.access(_KVM, os.R_OK | os.W_OK))
    command = [program, *_machine(kind, memory_mb), *_streams(fds)]
    command += _share("root", Path("/"), initramfs.ROOT_TAG, read_only=True)
    for number, folder in enumerate(writable):
        command += _share(f"share{number}", folder, f"share{number}", read_only=False)
    command += ["-kernel", str(kernel.image), "-initrd", str(first_files)]
    command += ["-append", " ".join([*_kernel_options(kind), "--", *init_command(spec_file)])]
    return Boot(
        command=command,
        environment={"PATH": "/usr/bin:/bin"},
        modules_dir=kernel.modules_dir,
        # The first number is the order of the devices on the bus, which the number of shares changes.
        lines=("/dev/vport*p1", "/dev/vport*p2", "/dev/vport*p3"),
        shares=tuple(Share(str(folder), f"share{n}", "9p", _SHARE_OPTIONS) for n, folder in enumerate(writable)),
    )


def _machine(kind: str, memory_mb: int) -> list[str]:
    processor = "host" if kind == "kvm" else "max"
    accelerated = "kvm" if kind == "kvm" else "tcg,thread=multi"
    # Machine q35 and not microvm: without a HPET the kernel sometimes fails to measure the time stamp counter under
    # emulation, and then either does not start or has a clock of 4 ms.
    words = (
        f"-machine q35 -accel {accelerated} -cpu {processor} -smp {PROCESSORS} -m {memory_mb} "
        "-nodefaults -display none -monitor none -no-reboot -device virtio-rng-pci"
    )
    return words.split()


def _kernel_options(kind: str) -> list[str]:
    # Emulated processors read the host's time stamp counter: it is in step on all of them, which the kernel's own test
    # under emulation does not see.
    # On a busy host the kernel misses ticks in its test of the timer's wiring, and panics.
    # A kernel whose processor is stuck for twice the watchdog's threshold, or waits for one for a minute, ends; its
    # console says where. Both in seconds: an emulated processor is slow on a busy host, but not that slow.
    ends = ["panic=-1", "softlockup_panic=1", "watchdog_thresh=30"]
    ends += ["rcupdate.rcu_cpu_stall_timeout=60", "sysctl.kernel.panic_on_rcu_stall=1"]
    return ["console=ttyS0", *ends, *(["tsc=reliable", "no_timer_check"] if kind == "tcg" else [])]


def _streams(fds: Descriptors) -> list[str]:
    """The console, and a virtio port for each stream; the descriptors are handed over, since no file can be opened."""
    words: list[str] = ["-device", "virtio-serial-pci"]
    for number, fd in enumerate((fds.console, fds.stdout, fds.stderr, fds.control)):
        words += ["-add-fd", f"fd={fd},set={number}"]
        words += ["-chardev", f"file,id=stream{number},path=/dev/fdset/{number},append=on"]
        port = ["-device", f"virtserialport,chardev=stream{number},nr={number}"]
        words += port if number else ["-serial", "chardev:stream0"]
    return words


def _share(name: str, folder: Path, tag: str, *, read_only: bool) -> list[str]:
    # QEMU's options end at a comma; a doubled one is part of the value.
    path = str(folder).replace(",", ",,")
    mode = "readonly=on" if read_only else "readonly=off"
    return [
        "-fsdev",
        f"local,id={name},path={path},{mode},security_model=none,multidevs=remap",
        "-device",
        f"virtio-9p-pci,fsdev={name},mount_tag={tag}",
    ]
