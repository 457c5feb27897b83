"""What a guest is made of: the kernel, its modules, its command line, and what this machine must have for it."""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubinet.errors import MissingCapabilityError

MODULES_ROOT = Path("/usr/lib/uml/modules")
DEFAULT_MODULES = (
    "openvswitch",
    "vport-vxlan",
    "vport-geneve",
    "sch_netem",
    "sch_htb",
    "sch_tbf",
    "veth",
    "tun",
)
"""Loaded before the command starts; whatever else it needs, the guest's kernel loads on demand."""

_OPEN_VSWITCH_UPTIME = 10.2
"""Seconds. Until the machine has been up for ten, ovs-vswitchd 3.1 takes the number of processors for none (it looks
when its last look, at time zero, is ten seconds old), starts no handler thread, and the kernel's upcalls are lost."""
_HERE = Path(__file__).parent
_SHARED_MEMORY = "/dev/shm"  # noqa: S108


@dataclass(frozen=True, slots=True)
class GuestKernel:
    """An installed guest kernel and its modules."""

    program: Path
    modules_dir: Path
    preload: Path | None
    """A library that the kernel's program needs on this machine's processor."""


@dataclass(frozen=True, slots=True)
class Descriptors:
    """The open ends, in the process that asks, of what the guest writes to; the numbers stay the same on the way."""

    stdout: int
    stderr: int
    control: int
    console: int
    lifeline: int

    def all(self) -> tuple[int, ...]:
        """Every descriptor, to be kept open across the start."""
        return (self.stdout, self.stderr, self.control, self.console, self.lifeline)


def find_kernel(scratch: Path) -> GuestKernel:
    """The machine's guest kernel; MissingCapabilityError says what to install. `scratch` takes what is compiled."""
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
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(_HERE / "xstate.c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise MissingCapabilityError(
            f"{compiler} cannot compile {_HERE / 'xstate.c'} (run `apt install gcc libc6-dev`): {done.stderr.strip()}"
        )
    return library


def specification(
    kernel: GuestKernel,
    spec_file: Path,
    fds: Descriptors,
    argv: Sequence[str],
    *,
    memory_mb: int,
    modules: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path,
    writable: Sequence[Path],
    memory_folder: Path,
    make_folders: Sequence[Path],
) -> dict[str, object]:
    """What `wall.py` and `init.py` read: one JSON object."""
    command_line = [
        str(kernel.program),
        f"mem={memory_mb}M",
        "umid=guest",
        f"uml_dir={_SHARED_MEMORY}/uml/",
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
        f"init={interpreter()}",
        "--",
        "-I",
        "-S",
        str(_HERE / "init.py"),
        str(spec_file),
    ]
    preload = {"LD_PRELOAD": str(kernel.preload)} if kernel.preload is not None else {}
    return {
        "kernel": command_line,
        "kernel_environment": {"TMPDIR": _SHARED_MEMORY, "PATH": "/usr/bin:/bin", **preload},
        "memory_bytes": memory_mb << 20,
        "stdout_fd": fds.stdout,
        "stderr_fd": fds.stderr,
        "control_fd": fds.control,
        "console_fd": fds.console,
        "lifeline_fd": fds.lifeline,
        "modules_dir": str(kernel.modules_dir),
        "modules": list(modules),
        "uptime": _OPEN_VSWITCH_UPTIME if "openvswitch" in modules else 0.0,
        "argv": list(argv),
        "environment": dict(environment),
        "cwd": str(cwd),
        "writable": [str(folder) for folder in writable],
        "memory_folder": str(memory_folder),
        "make_folders": [str(folder) for folder in make_folders],
    }


def wall_command(spec_file: Path) -> list[str]:
    """The command line of the first process around the kernel."""
    return [str(interpreter()), "-I", "-S", str(_HERE / "wall.py"), str(spec_file)]


def interpreter() -> Path:
    """The Python program behind the environment's own: it needs neither the environment nor its folder."""
    return Path(sys.executable).resolve()
