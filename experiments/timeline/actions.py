"""What a timeline can say, as values; each prints (`str`) as it is written. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from experiments.objectnames import ObjectName

SCALED: Final[Mapping[str, str]] = {
    "deployment": "Deployment",
    "deploy": "Deployment",
    "statefulset": "StatefulSet",
    "sts": "StatefulSet",
    "replicaset": "ReplicaSet",
    "rs": "ReplicaSet",
}
"""Words for the kinds that `scale` takes, in any case, singular or plural, to the kinds."""
CONTROL: Final = "controller"
"""In a partition: the management network, over which the controller programs a node's bridges."""
MICROSECONDS: Final = 1_000_000
_SPECIAL: Final = re.compile(r'[\s\[\],"]')


def duration_text(seconds: float) -> str:
    """The shortest spelling of whole microseconds: `20s`, `500ms`, `50us`."""
    micro = round(seconds * MICROSECONDS)
    for unit, size in (("s", MICROSECONDS), ("ms", 1000)):
        if micro % size == 0:
            return f"{micro // size}{unit}"
    return f"{micro}us"


def word_text(word: str) -> str:
    """A word, in quotation marks where it would not be read as one."""
    return f'"{word}"' if _SPECIAL.search(word) else word


@dataclass(frozen=True, slots=True)
class Partition:
    """Groups of nodes that exchange no packet over the underlay."""

    groups: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        return "partition " + " ".join(f"[{', '.join(group)}]" for group in self.groups)


@dataclass(frozen=True, slots=True)
class LinkDown:
    """Both ends of a link down."""

    link: str

    def __str__(self) -> str:
        return f"link {self.link} down"


@dataclass(frozen=True, slots=True)
class LinkFlap:
    """A link that is down and up in turn."""

    link: str
    every: float
    """Seconds from one change to the next."""

    def __str__(self) -> str:
        return f"link {self.link} flap every {duration_text(self.every)}"


@dataclass(frozen=True, slots=True)
class LinkSet:
    """Other quantities on a link."""

    link: str
    settings: tuple[tuple[str, str], ...]
    """rate, delay, jitter, loss, queue, with the value as it is written."""

    def __str__(self) -> str:
        return f"set link {self.link} " + " ".join(f"{name} {value}" for name, value in self.settings)


@dataclass(frozen=True, slots=True)
class Kill:
    """A service's process killed."""

    service: str

    def __str__(self) -> str:
        return f"kill {self.service}"


@dataclass(frozen=True, slots=True)
class Pause:
    """A service's process stopped, and continued later."""

    service: str

    def __str__(self) -> str:
        return f"pause {self.service}"


@dataclass(frozen=True, slots=True)
class RestartSwitch:
    """A node's Open vSwitch ended and started anew."""

    node: str

    def __str__(self) -> str:
        return f"restart ovs on {self.node}"


@dataclass(frozen=True, slots=True)
class StopAgent:
    """A node without its agent."""

    node: str

    def __str__(self) -> str:
        return f"stop agent {self.node}"


@dataclass(frozen=True, slots=True)
class CrashNode:
    """A node that loses power."""

    node: str

    def __str__(self) -> str:
        return f"crash node {self.node}"


@dataclass(frozen=True, slots=True)
class Churn:
    """Pods that are deleted all the time."""

    percent: float
    """Of the pods that are there, more than 0, at most 100."""
    selector: str
    """Label selector."""
    every: float
    """Seconds."""
    namespace: str = "default"

    def __str__(self) -> str:
        where = "" if self.namespace == "default" else f" in {self.namespace}"
        share = repr(self.percent).removesuffix(".0")
        return f"churn {share}% of pods {word_text(self.selector)}{where} every {duration_text(self.every)}"


@dataclass(frozen=True, slots=True)
class Scale:
    """A workload object with another number of replicas."""

    kind: str
    """As it is written: `deploy`, `Deployment`, `statefulset`, …"""
    name: str
    replicas: int
    namespace: str = "default"

    @property
    def object(self) -> ObjectName:
        """The object, by its kind's own name."""
        word = self.kind.lower()
        return ObjectName(SCALED.get(word) or SCALED[word.removesuffix("s")], self.name, self.namespace)

    def __str__(self) -> str:
        where = "" if self.namespace == "default" else f"{self.namespace}:"
        return f"scale {where}{self.kind}/{self.name} {self.replicas}"


@dataclass(frozen=True, slots=True)
class Apply:
    """The objects of a manifest file created or changed."""

    file: str

    def __str__(self) -> str:
        return f"apply {word_text(self.file)}"


@dataclass(frozen=True, slots=True)
class Delete:
    """The objects of a manifest file deleted."""

    file: str

    def __str__(self) -> str:
        return f"delete {word_text(self.file)}"


@dataclass(frozen=True, slots=True)
class Heal:
    """The end of faults that were injected."""

    what: str
    """`all`, or what faults are about: `partition`, `link`, `agent`, …"""
    target: str = ""
    """Which of them; empty: all."""

    def __str__(self) -> str:
        return f"heal {self.what} {word_text(self.target)}".rstrip()


Injection: TypeAlias = (
    Partition
    | LinkDown
    | LinkFlap
    | LinkSet
    | Kill
    | Pause
    | RestartSwitch
    | StopAgent
    | CrashNode
    | Churn
    | Scale
    | Apply
    | Delete
)
Action: TypeAlias = Injection | Heal


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a timeline."""

    start: float
    """Seconds after the workload's start."""
    action: Action
    end: float | None = None
    """When it is healed; None: by `heal`, or at the end of the run."""
    where: str = field(default="", compare=False)
    """The line that it came from, for errors."""

    def __str__(self) -> str:
        start = duration_text(self.start)
        when = f"at {start}" if self.end is None else f"from {start} to {duration_text(self.end)}"
        return f"{when}: {self.action}"


def subject(action: Injection) -> tuple[str, str]:
    """What `heal` calls a fault: its word and its target."""
    match action:
        case Partition():
            return "partition", ""
        case LinkDown(link) | LinkFlap(link) | LinkSet(link):
            return "link", link
        case Kill(service) | Pause(service):
            return "service", service
        case RestartSwitch(node):
            return "ovs", node
        case StopAgent(node):
            return "agent", node
        case CrashNode(node):
            return "node", node
        case Churn(selector=selector):
            return "churn", selector
        case Scale(name=name):
            return "scale", name
        case Apply(file):
            return "apply", file
        case Delete(file):
            return "delete", file


SUBJECTS: Final = ("partition", "link", "service", "agent", "node", "churn", "scale", "apply", "delete")
"""Words that `heal` takes beside `all`."""


def concerns(heal: Heal, action: Injection) -> bool:
    """Whether this `heal` ends that fault."""
    word, target = subject(action)
    return heal.what == "all" or (heal.what == word and heal.target in ("", target))
