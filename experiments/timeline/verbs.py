"""What the actions of a timeline say: each verb's words, read into a value. Pure."""

import math
import re
from collections.abc import Callable
from typing import Final

from experiments.timeline.actions import (
    CONTROL,
    SCALED,
    SUBJECTS,
    Action,
    Apply,
    Churn,
    CrashNode,
    Delete,
    Heal,
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
from experiments.timeline.words import NAME, Words, fail
from topologies.links.quantities import QUANTITIES

SERVICES: Final = ("controller", "api", "agents")
"""Services of the sandbox that can be killed and paused."""
_REPLICAS: Final = 10_000


def read_action(words: Words) -> Action:
    """All the words that are left; TimelineError where they are no action."""
    verb = words.choice("an action", _VERBS)
    action = _VERBS[verb](words)
    words.done()
    return action


def _partition(words: Words) -> Action:
    groups: list[tuple[str, ...]] = []
    seen: set[str] = set()
    while words.peek() == "[" or not groups:
        words.expect("[")
        group: list[str] = []
        while not group or words.peek() == ",":
            if group:
                words.expect(",")
            name = words.name("a node's name")
            if name in seen:
                words.fail_last(f"{name!r} is in two groups or twice in one; name it once")
            seen.add(name)
            group.append(name)
        words.expect("]")
        groups.append(tuple(group))
    if len(groups) < 2:
        fail(words.where, words.column, "a partition has two groups at least, such as [n1] [n2, n3]")
    if any(CONTROL in group and len(group) > 1 for group in groups):
        words.fail_last(f"`{CONTROL}` stands in a group of its own, such as [{CONTROL}] [n1]")
    return Partition(tuple(groups))


def _link(words: Words) -> Action:
    link = words.name("a link's name")
    match words.choice("what happens to the link", ("down", "flap", "up")):
        case "down":
            return LinkDown(link)
        case "up":
            return Heal("link", link)
    words.expect("every")
    return LinkFlap(link, words.duration())


def _set(words: Words) -> Action:
    words.expect("link")
    link = words.name("a link's name")
    settings: list[tuple[str, str]] = []
    while words.peek() or not settings:
        name = words.choice("a quantity of links", QUANTITIES)
        if name in dict(settings):
            words.fail_last(f"{name} is set twice; keep one")
        value = words.next(f"the {name}")
        if words.peek() and words.peek() not in QUANTITIES:
            value += words.next("a unit")  # 100 packets
        try:
            QUANTITIES[name](value)
        except ValueError as error:
            words.fail_last(f"{name}: {error}")
        settings.append((name, value))
    return LinkSet(link, tuple(settings))


def _restart(words: Words) -> Action:
    words.expect("ovs")
    words.expect("on")
    return RestartSwitch(words.name("a node's name"))


def _stop(words: Words) -> Action:
    words.expect("agent")
    return StopAgent(words.name("a node's name"))


def _crash(words: Words) -> Action:
    words.expect("node")
    return CrashNode(words.name("a node's name"))


def _churn(words: Words) -> Action:
    text = words.next("a percentage such as 20%")
    try:
        percent = float(text.removesuffix("%")) if text.endswith("%") else math.nan
    except ValueError:
        percent = math.nan
    if not 0 < percent <= 100:
        words.fail_last(f"{text!r} is no percentage of more than 0 and at most 100, such as 20%")
    words.expect("of")
    words.expect("pods")
    selector = _quoted_safe(words, "a label selector such as app=web")
    namespace = "default"
    if words.peek() == "in":
        words.expect("in")
        namespace = words.name("a namespace")
    words.expect("every")
    return Churn(percent, selector, words.duration(), namespace)


def _scale(words: Words) -> Action:
    text = words.next("what to scale, such as deploy/web")
    where, colon, rest = text.rpartition(":")
    kind, slash, name = rest.partition("/")
    known = {*SCALED, *(f"{one}s" for one in SCALED)}
    if not slash or kind.lower() not in known or not NAME.fullmatch(name) or (colon and not NAME.fullmatch(where)):
        words.fail_last(
            f"{text!r} cannot be scaled; write KIND/NAME or NAMESPACE:KIND/NAME, KIND of {', '.join(SCALED)}"
        )
    number = words.next("the number of replicas")
    if not re.fullmatch(r"\d{1,5}", number) or int(number) > _REPLICAS:
        words.fail_last(f"{number!r} is no number of replicas from 0 to {_REPLICAS}")
    return Scale(kind, name, int(number), where or "default")


def _heal(words: Words) -> Action:
    what = words.choice("what can be healed", ("all", *SUBJECTS, *SERVICES))
    if what in SERVICES:
        return Heal("service", what)
    if what in ("all", "partition") or not words.peek():
        return Heal(what)
    return Heal(what, _quoted_safe(words, "which one"))


def _quoted_safe(words: Words, what: str) -> str:
    word = words.next(what)
    if not word or word in "[],":
        words.fail_last(f"{what} should stand here")
    return word


_VERBS: Final[dict[str, Callable[[Words], Action]]] = {
    "partition": _partition,
    "link": _link,
    "set": _set,
    "kill": lambda words: Kill(words.choice("a service", SERVICES)),
    "pause": lambda words: Pause(words.choice("a service", SERVICES)),
    "restart": _restart,
    "stop": _stop,
    "crash": _crash,
    "churn": _churn,
    "scale": _scale,
    "apply": lambda words: Apply(_quoted_safe(words, "a manifest file")),
    "delete": lambda words: Delete(_quoted_safe(words, "a manifest file")),
    "heal": _heal,
}
