"""The machine and the versions behind a run: what another person needs in order to judge or repeat it."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from kubinet.sandbox import search_path
from kubinet.version import __version__

Facts = dict[str, object]
"""Goes into a JSON file of the results folder as it is."""

_CHECKOUT: Final = Path(__file__).resolve().parent.parent
_PROGRAMS: Final = {
    "ovs-vswitchd": ("ovs-vswitchd", "--version"),
    "ovsdb-server": ("ovsdb-server", "--version"),
    "iperf3": ("iperf3", "--version"),
    "ping": ("ping", "-V"),
    "fping": ("fping", "-v"),
    "wrk": ("wrk", "-v"),
    "sockperf": ("sockperf", "--version"),
    "tcpdump": ("tcpdump", "--version"),
    "nft": ("nft", "--version"),
    "ip": ("ip", "-V"),
    "mininet": ("mn", "--version"),
    "vde": ("vde_switch", "--version"),
}
_CAPABILITIES: Final = {
    12: "net_admin",
    13: "net_raw",
    21: "sys_admin",
}
"""Bit numbers of linux/capability.h."""


def machine_facts() -> Facts:
    """Processor, memory, load, clock source and this process's capabilities."""
    cpuinfo = _text("/proc/cpuinfo")
    meminfo = _text("/proc/meminfo")
    return {
        "cpu_model": _first(r"^model name\s*:\s*(.+)$", cpuinfo) or platform.machine(),
        "cpus": os.cpu_count(),
        "cpus_usable": len(os.sched_getaffinity(0)),
        "memory_mib": int(_first(r"^MemTotal:\s+(\d+) kB$", meminfo) or 0) // 1024,
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "clock_source": _text("/sys/devices/system/clocksource/clocksource0/current_clocksource").strip(),
        "scaling_governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None,
        "user_id": os.getuid(),
        "capabilities": capabilities(_text("/proc/self/status")),
    }


def load_average() -> tuple[float, float, float]:
    """Runnable and blocked tasks over 1, 5 and 15 minutes."""
    return os.getloadavg()


def capabilities(status: str) -> list[str]:
    """The effective capabilities that matter here, from the text of /proc/self/status."""
    mask = int(_first(r"^CapEff:\s*([0-9a-f]+)$", status) or "0", 16)
    return [name for bit, name in _CAPABILITIES.items() if mask >> bit & 1]


def versions() -> Facts:
    """Kubinet's commit, and the version of everything that a measurement passes through."""
    return {
        "kubinet": __version__,
        "git": git_state(_CHECKOUT),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "distribution": _first(r'^PRETTY_NAME="?([^"\n]+)"?$', _text("/etc/os-release")),
        "packages": _packages(),
        "programs": {name: _program(argv) for name, argv in _PROGRAMS.items()},
    }


def git_state(checkout: Path) -> Facts | None:
    """Commit and whether files differ from it (None where git does not say); None for a package without a checkout."""
    if not (checkout / ".git").exists() or shutil.which("git") is None:
        return None
    commit = _git(checkout, "rev-parse", "HEAD")
    changes = _git(checkout, "status", "--porcelain")
    return {"commit": (commit or "").strip() or None, "dirty": None if changes is None else bool(changes.strip())}


def git_changes() -> str:
    """What differs from the commit of `versions`, as `git diff`; empty where nothing does, and without a checkout."""
    checkout = _CHECKOUT
    if not (checkout / ".git").exists() or shutil.which("git") is None:
        return ""
    return _git(checkout, "diff", "--no-color", "HEAD") or ""


def _git(checkout: Path, *argv: str) -> str | None:
    """What git prints; None where it fails.

    A checkout of somebody else's, as on a shared machine, is trusted (git 2.38): its programs are those that run here.
    """
    options = ("-c", f"safe.directory={checkout}", "-c", "core.fsmonitor=false")
    argv = ("git", *options, "-C", str(checkout), *argv)
    try:
        result = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 else None


def _packages() -> dict[str, str]:
    """Every Python package that this program can import, plug-ins of others among them."""
    found = {one.metadata["Name"]: one.version for one in importlib.metadata.distributions() if one.metadata["Name"]}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _program(argv: tuple[str, ...]) -> str | None:
    path = shutil.which(argv[0], path=search_path())
    if path is None:
        return None
    lines = _run([path, *argv[1:]]).strip().splitlines()
    return lines[0] if lines else None


def _run(argv: list[str]) -> str:
    try:
        result = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    # Mininet prints its version on standard error.
    return result.stdout or result.stderr


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _first(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1].strip() if match else None
