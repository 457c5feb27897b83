"""What a guest is made of, whatever its kernel: modules, the descriptors it writes to, and what its processes read."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

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

HERE = Path(__file__).parent
SHARED_MEMORY = "/dev/shm"  # noqa: S108
_OPEN_VSWITCH_UPTIME = 10.2
"""Seconds. Until the machine has been up for ten, ovs-vswitchd 3.1 takes the number of processors for none (it looks
when its last look, at time zero, is ten seconds old), starts no handler thread, and the kernel's upcalls are lost."""


class Kernel(StrEnum):
    """Which kernel a guest has."""

    AUTO = "auto"
    """The virtual machine where it can be had, since only its datapath tracks connections; else user-mode Linux."""
    UML = "uml"
    QEMU = "qemu"


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


@dataclass(frozen=True, slots=True)
class Share:
    """A folder of the host that the guest mounts at the same path and may write to (mount(2))."""

    folder: str
    source: str
    kind: str
    options: str


@dataclass(frozen=True, slots=True)
class Boot:
    """How a guest kernel is started, and what its first process must know about it."""

    command: Sequence[str]
    environment: Mapping[str, str]
    modules_dir: Path
    lines: tuple[str, str, str]
    """Patterns of the devices for standard output, standard error and messages to the host."""
    shares: tuple[Share, ...]


def specification(
    boot: Boot,
    fds: Descriptors,
    argv: Sequence[str],
    *,
    memory_mb: int,
    modules: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path,
    memory_folder: Path,
    make_folders: Sequence[Path],
) -> dict[str, object]:
    """What `wall.py` and `init.py` read: one JSON object."""
    return {
        "kernel": list(boot.command),
        "kernel_environment": dict(boot.environment),
        "memory_bytes": memory_mb << 20,
        "stdout_fd": fds.stdout,
        "stderr_fd": fds.stderr,
        "control_fd": fds.control,
        "console_fd": fds.console,
        "lifeline_fd": fds.lifeline,
        "modules_dir": str(boot.modules_dir),
        "modules": list(modules),
        "lines": list(boot.lines),
        "uptime": _OPEN_VSWITCH_UPTIME if "openvswitch" in modules else 0.0,
        "argv": list(argv),
        "environment": dict(environment),
        "cwd": str(cwd),
        "shares": [asdict(share) for share in boot.shares],
        "memory_folder": str(memory_folder),
        "make_folders": [str(folder) for folder in make_folders],
    }


def init_command(spec_file: Path) -> list[str]:
    """The command line of the guest's first process."""
    return [str(interpreter()), "-I", "-S", str(HERE / "init.py"), str(spec_file)]


def wall_command(spec_file: Path) -> list[str]:
    """The command line of the first process around the kernel."""
    return [str(interpreter()), "-I", "-S", str(HERE / "wall.py"), str(spec_file)]


def interpreter() -> Path:
    """The Python program behind the environment's own: it needs neither the environment nor its folder."""
    return Path(sys.executable).resolve()
