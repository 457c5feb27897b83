"""The timeline language: one event a line, read into values. Pure.

    at 20s: partition [n1] [n2, n3]
    from 10s to 30s: link leaf1-spine1 flap every 500ms

Errors name the column, and what may stand there.
"""

import re
from collections.abc import Iterable
from typing import Final

from experiments.timeline.actions import Action, Churn, Event, Heal, Kill, LinkFlap, RestartSwitch, duration_text
from experiments.timeline.verbs import read_action
from experiments.timeline.words import Words, fail

_WHEN: Final = re.compile(r"\s*(?:at|from)\b[^:]*(:)")
_MOMENTS: Final = (Kill, RestartSwitch, Heal)
_LASTING: Final = (LinkFlap, Churn)


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
        fail(where, 1, "a line is `at TIME: ACTION` or `from TIME to TIME: ACTION`, such as `at 20s: kill controller`")
    when = Words(where, line[: found.start(1)])
    if when.next("`at` or `from`") == "at":
        start, end = when.duration(zero=True), None
    else:
        start = when.duration(zero=True)
        when.expect("to")
        end = when.duration()
        if end <= start:
            when.fail_last(f"the end {duration_text(end)} is not after the start {duration_text(start)}")
    when.done()
    words = Words(where, line, found.end(1))
    column = words.column
    action = read_action(words)
    if end is not None and isinstance(action, _MOMENTS):
        fail(where, column, f"`{action}` happens at one moment; write `at {duration_text(start)}: {action}`")
    if end is None and isinstance(action, _LASTING):
        example = f"from {duration_text(start)} to {duration_text(start + 10)}: {action}"
        fail(where, column, f"`{action}` needs an end; write `{example}`")
    return Event(start, action, end, where)


def parse_action(text: str, where: str = "fault") -> Action:
    """An action without a time."""
    return read_action(Words(where, text))


def has_time(text: str) -> bool:
    """Whether the line says when (`parse_event`) or only what (`parse_action`)."""
    return re.match(r"\s*(at|from)\b", text) is not None
