"""All faults: which class does which action, and the documentation's table of them."""

from collections.abc import Mapping
from typing import Any, Final

from experiments.timeline.actions import (
    Apply,
    Churn,
    CrashNode,
    Delete,
    Injection,
    Kill,
    LinkDown,
    LinkFlap,
    LinkSet,
    Partition,
    Pause,
    RestartSwitch,
    Scale,
    StopAgent,
)
from experiments.timeline.faults.base import Fault, Stay
from experiments.timeline.faults.churn import ChurnedPods
from experiments.timeline.faults.links import ChangedLink, DownLink, FlappingLink
from experiments.timeline.faults.nodes import CrashedNode, RestartedSwitch, StoppedAgent
from experiments.timeline.faults.objects import AppliedFile, DeletedFile, ScaledObject
from experiments.timeline.faults.partition import SplitNetwork
from experiments.timeline.faults.services import KilledService, PausedService

FAULTS: Final[Mapping[type[Injection], Fault[Any]]] = {
    LinkDown: DownLink(),
    LinkFlap: FlappingLink(),
    LinkSet: ChangedLink(),
    Partition: SplitNetwork(),
    Kill: KilledService(),
    Pause: PausedService(),
    StopAgent: StoppedAgent(),
    RestartSwitch: RestartedSwitch(),
    CrashNode: CrashedNode(),
    Churn: ChurnedPods(),
    Scale: ScaledObject(),
    Apply: AppliedFile(),
    Delete: DeletedFile(),
}
GOING_ON: Final = (LinkFlap, Churn)
"""Actions that need somebody who takes their turns."""

_ENDS: Final = {
    Stay.UNTIL_HEALED: "until its end, `heal`, or the run's end",
    Stay.PASSES: "until the cluster has recovered by itself",
    Stay.STEP: "for good, unless the line has an end",
}


def fault_of(action: Injection) -> Fault[Any]:
    """The fault that an action injects."""
    return FAULTS[type(action)]


def table() -> str:
    """The table of docs/faults.md, in Markdown."""
    lines = [
        "| line | what it does | it is there when | symptom | recovery | lasts |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for fault in FAULTS.values():
        cells = (f"`{fault.example}`", fault.does, fault.presence, fault.effect, fault.recovery, _ENDS[fault.stay])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
