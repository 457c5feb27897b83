"""Facts about the machine under all nodes, and the memory that a node's processes use."""

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from agents.node_object import Machine

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def read_machine() -> Machine:
    """What this machine is."""
    try:
        os_image = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        os_image = "Linux"
    return Machine(
        cpus=os.cpu_count() or 1,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=platform.release(),
        os_image=os_image,
        architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
    )


def memory_of(pids: Iterable[int]) -> dict[str, int]:
    """Resident (`rss`) and proportional (`pss`: shared pages divided among their users) memory, bytes."""
    total = {"rss": 0, "pss": 0}
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        values = {line.split(":")[0]: line.split() for line in text.splitlines() if line.endswith("kB")}
        total["rss"] += int(values["Rss"][1]) * 1024
        total["pss"] += int(values["Pss"][1]) * 1024
    return total
