"""The timeline language: one event a line, read into values. Pure.

    at 20s: partition [n1] [n2, n3]
    from 10s to 30s: link leaf1-spine1 flap every 500ms

Errors name the column, and what may stand there.
"""

import math
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final, NoReturn

from experiments.timeline.actions import (
    CONTROL,
    MICROSECONDS,
    SCALED,
    SUBJECTS,
    Action,
    Apply,
    Churn,
    CrashNode,
    Delete,
    Event,
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
    duration_text,
)
from kubinet.errors import InvalidInputError
from topologies.links.quantities import QUANTITIES

SERVICES: Final = ("controller", "api", "agents")
"""Services of the sandbox that can be killed and paused."""
_TOKEN: Final = re.compile(r'\[|\]|,|"[^"]*"|[^\s\[\],"]+')
_WHEN: Final = re.compile(r"\s*(?:at|from)\b[^:]*(:)")
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:us|ms|s|m|h))+")
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_UNITS: Final = {"us": 1, "ms": 1000, "s": MICROSECONDS, "m": 60 * MICROSECONDS, "h": 3600 * MICROSECONDS}
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LONGEST: Final = 30 * 24 * 3600 * MICROSECONDS
_REPLICAS: Final = 10_000


class TimelineError(InvalidInputError):
    """A line that is no event; `column` counts from 1."""

    def __init__(self, where: str, column: int, text: str) -> None:
        super().__init__(f"{where}, column {column}: {text}")
        self.column = column


def parse_timeline(lines: Iterable[str], where: str = "timeline") -> tuple[Event, ...]:
    """All lines, in the order of their starts; TimelineError names the line and column.

    `heal` is placed after whatever begins at the same time and stands above it.
    """
    events = [parse_event(line, f"{where}, line {number}") for number, line in enumerate(lines, start=1)]
    return tuple(sorted(events, key=lambda event: event.start))


def parse_event(line: str, where: str = "timeline") -> Event:
    """One line: `at TIME: ACTION` or `from TIME to TIME: ACTION`."""
    found = _WHEN.match(line)
    if found is None:
        _fail(where, 1, "a line is `at TIME: ACTION` or `from TIME to TIME: ACTION`, such as `at 20s: kill controller`")
    when = _Words(where, line[: found.start(1)])
    if when.next("`at` or `from`") == "at":
        start, end = when.duration(zero=True), None
    else:
        start = when.duration(zero=True)
        when.expect("to")
        end = when.duration()
        if end <= start:
            when.fail_last(f"the end {duration_text(end)} is not after the start {duration_text(start)}")
    when.done()
    words = _Words(where, line, found.end(1))
    column = words.column
    action = _action(words)
    if end is not None and isinstance(action, _MOMENTS):
        _fail(where, column, f"`{action}` happens at one moment; write `at {duration_text(start)}: {action}`")
    if end is None and isinstance(action, _LASTING):
        example = f"from {duration_text(start)} to {duration_text(start + 10)}: {action}"
        _fail(where, column, f"`{action}` needs an end; write `{example}`")
    return Event(start, action, end, where)


def parse_action(text: str, where: str = "fault") -> Action:
    """An action without a time."""
    return _action(_Words(where, text))


def has_time(text: str) -> bool:
    """Whether the line says when (`parse_event`) or only what (`parse_action`)."""
    return re.match(r"\s*(at|from)\b", text) is not None


def parse_duration(text: str) -> float:
    """Seconds of `20s`, `500ms`, `1m30s`; ValueError for anything else, and below a microsecond."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is no time; write one such as 20s, 500ms or 1m30s")
    micro = sum(Decimal(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))
    if micro != int(micro):
        raise ValueError(f"{text!r} is finer than a microsecond; times are whole microseconds")
    if micro > _LONGEST:
        raise ValueError(f"{text!r} is longer than 30 days; no run takes that long")
    return int(micro) / MICROSECONDS


_MOMENTS: Final = (Kill, RestartSwitch, Heal)
_LASTING: Final = (LinkFlap, Churn)


class _Words:
    """The words of a line with their columns."""

    def __init__(self, where: str, line: str, start: int = 0) -> None:
        self.where = where
        self._words = [(found.group(), found.start() + 1) for found in _TOKEN.finditer(line, start)]
        self._end = len(line.rstrip()) + 1
        self._at = 0
        unread = _TOKEN.sub("", line[start:]).strip()
        if unread:
            _fail(
                where, line.index(unread[0], start) + 1, f'{unread[0]} has no partner; write words with blanks in "…"'
            )

    @property
    def column(self) -> int:
        """Where the next word is."""
        return self._words[self._at][1] if self._at < len(self._words) else self._end

    def peek(self) -> str:
        """The next word; empty at the end."""
        return self._words[self._at][0] if self._at < len(self._words) else ""

    def next(self, what: str) -> str:
        """The next word, without its quotation marks."""
        if self._at == len(self._words):
            _fail(self.where, self._end, f"the line ends where {what} should be")
        self._at += 1
        word = self._words[self._at - 1][0]
        return word.strip('"') if word.startswith('"') else word

    def expect(self, word: str) -> None:
        """The next word is this one."""
        if self.next(f"`{word}`") != word:
            self.fail_last(f"`{word}` should stand here, not {self._words[self._at - 1][0]!r}")

    def name(self, what: str) -> str:
        """The next word as a name of Kubernetes or of the topology."""
        word = self.next(what)
        if not _NAME.fullmatch(word):
            self.fail_last(f"{word!r} is not {what}: lower-case letters, digits, inner dashes and dots")
        return word

    def duration(self, *, zero: bool = False) -> float:
        """The next word as a time, seconds."""
        word = self.next("a time such as 20s")
        try:
            seconds = parse_duration(word)
        except ValueError as error:
            self.fail_last(str(error))
        if not zero and seconds == 0:
            self.fail_last("a time greater than 0 should stand here")
        return seconds

    def choice(self, what: str, known: Iterable[str]) -> str:
        """The next word, one of these."""
        known = tuple(known)
        word = self.next(what)
        if word not in known:
            self.fail_last(f"{word!r} is not {what}; known: {', '.join(known)}")
        return word

    def done(self) -> None:
        """Nothing more stands here."""
        if self._at < len(self._words):
            _fail(self.where, self.column, f"{self.peek()!r} is more than this line can say; take it away")

    def fail_last(self, text: str) -> NoReturn:
        """The word that was read last is wrong."""
        _fail(self.where, self._words[self._at - 1][1], text)


def _fail(where: str, column: int, text: str) -> NoReturn:
    raise TimelineError(where, column, text)


def _action(words: _Words) -> Action:
    verb = words.choice("an action", _VERBS)
    action = _VERBS[verb](words)
    words.done()
    return action


def _partition(words: _Words) -> Action:
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
        _fail(words.where, words.column, "a partition has two groups at least, such as [n1] [n2, n3]")
    if any(CONTROL in group and len(group) > 1 for group in groups):
        words.fail_last(f"`{CONTROL}` stands in a group of its own, such as [{CONTROL}] [n1]")
    return Partition(tuple(groups))


def _link(words: _Words) -> Action:
    link = words.name("a link's name")
    match words.choice("what happens to the link", ("down", "flap", "up")):
        case "down":
            return LinkDown(link)
        case "up":
            return Heal("link", link)
    words.expect("every")
    return LinkFlap(link, words.duration())


def _set(words: _Words) -> Action:
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


def _restart(words: _Words) -> Action:
    words.expect("ovs")
    words.expect("on")
    return RestartSwitch(words.name("a node's name"))


def _stop(words: _Words) -> Action:
    words.expect("agent")
    return StopAgent(words.name("a node's name"))


def _crash(words: _Words) -> Action:
    words.expect("node")
    return CrashNode(words.name("a node's name"))


def _churn(words: _Words) -> Action:
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


def _scale(words: _Words) -> Action:
    text = words.next("what to scale, such as deploy/web")
    where, colon, rest = text.rpartition(":")
    kind, slash, name = rest.partition("/")
    known = {*SCALED, *(f"{one}s" for one in SCALED)}
    if not slash or kind.lower() not in known or not _NAME.fullmatch(name) or (colon and not _NAME.fullmatch(where)):
        words.fail_last(
            f"{text!r} cannot be scaled; write KIND/NAME or NAMESPACE:KIND/NAME, KIND of {', '.join(SCALED)}"
        )
    number = words.next("the number of replicas")
    if not re.fullmatch(r"\d{1,5}", number) or int(number) > _REPLICAS:
        words.fail_last(f"{number!r} is no number of replicas from 0 to {_REPLICAS}")
    return Scale(kind, name, int(number), where or "default")


def _heal(words: _Words) -> Action:
    what = words.choice("what can be healed", ("all", *SUBJECTS, *SERVICES))
    if what in SERVICES:
        return Heal("service", what)
    if what in ("all", "partition") or not words.peek():
        return Heal(what)
    return Heal(what, _quoted_safe(words, "which one"))


def _quoted_safe(words: _Words, what: str) -> str:
    word = words.next(what)
    if not word or word in "[],":
        words.fail_last(f"{what} should stand here")
    return word


_VERBS: Final[dict[str, Callable[[_Words], Action]]] = {
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
