"""The flavour `uml`: Debian's user-mode Linux, an ordinary program; its root is the host's by hostfs."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubinet.errors import MissingCapabilityError
from topologies.guest.spec import HERE, SHARED_MEMORY, Boot, Descriptors, Share, init_command

MODULES_ROOT = Path("/usr/lib/uml/modules")


@dataclass(frozen=True, slots=True)
class GuestKernel:
    """An installed guest kernel and its modules."""

    program: Path
    modules_dir: Path
    preload: Path | None
    """A library that the kernel's program needs on this machine's processor."""


def available() -> bool:
    """Whether the program is installed."""
    return shutil.which("linux.uml") is not None


def boot(scratch: Path, spec_file: Path, fds: Descriptors, memory_mb: int, writable: Sequence[Path]) -> Boot:
    """How it starts; MissingCapabilityError says what to install. `scratch` takes what is compiled."""
    kernel = _find(scratch)
    interpreter, *arguments = init_command(spec_file)
    command = [
        str(kernel.program),
        f"mem={memory_mb}M",
        "umid=guest",
        f"uml_dir={SHARED_MEMORY}/uml/",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        "noreboot",
        "con=null",
        f"con0=null,fd:{fds.console}",
        f"con1=null,fd:{fds.stdout}",
        f"con2=null,fd:{fds.stderr}",
        f"con3=null,fd:{fds.control}",
        "ssl=null",
        f"init={interpreter}",
        "--",
        *arguments,
    ]
    preload = {"LD_PRELOAD": str(kernel.preload)} if kernel.preload is not None else {}
    return Boot(
        command=command,
        environment={"TMPDIR": SHARED_MEMORY, "PATH": "/usr/bin:/bin", **preload},
        modules_dir=kernel.modules_dir,
        lines=("/dev/tty1", "/dev/tty2", "/dev/tty3"),
        shares=tuple(Share(str(folder), "none", "hostfs", str(folder)) for folder in writable),
    )


def _find(scratch: Path) -> GuestKernel:
    program = shutil.which("linux.uml")
    if program is None:
        raise MissingCapabilityError("the guest kernel is missing: run `apt install user-mode-linux` (linux.uml)")
    asked = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=20)
    version = asked.stdout.strip()
    modules_dir = MODULES_ROOT / version
    if not version or not (modules_dir / "modules.dep").is_file():
        raise MissingCapabilityError(
            f"the guest kernel {program} ({version or 'unknown version'}) has no modules in {modules_dir}: "
            "run `apt install --reinstall user-mode-linux`"
        )
    return GuestKernel(Path(program), modules_dir, _register_area_library(scratch))


def _register_area_library(scratch: Path) -> Path | None:
    """On processors with AMX: the library of xstate.c, compiled; None elsewhere."""
    if " amx_tile " not in Path("/proc/cpuinfo").read_text():
        return None
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise MissingCapabilityError(
            "this processor's register area (AMX) is larger than the guest kernel knows; the library that helps "
            "must be compiled: run `apt install gcc libc6-dev`"
        )
    library = scratch / "xstate.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(HERE / "xstate.c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise MissingCapabilityError(
            f"{compiler} cannot compile {HERE / 'xstate.c'} (run `apt install gcc libc6-dev`): {done.stderr.strip()}"
        )
    return library
