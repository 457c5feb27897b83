"""A timeline's line as words with their columns, and the times among them. Pure."""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NoReturn

from experiments.timeline.actions import MICROSECONDS
from kubinet.errors import InvalidInputError

_TOKEN: Final = re.compile(r'\[|\]|,|"[^"]*"|[^\s\[\],"]+')
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:us|ms|s|m|h))+")
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_UNITS: Final = {"us": 1, "ms": 1000, "s": MICROSECONDS, "m": 60 * MICROSECONDS, "h": 3600 * MICROSECONDS}
_LONGEST: Final = 30 * 24 * 3600 * MICROSECONDS
NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
"""Names of Kubernetes and of the topology."""


class TimelineError(InvalidInputError):
    """A line that is no event; `column` counts from 1."""

    def __init__(self, where: str, column: int, text: str) -> None:
        super().__init__(f"{where}, column {column}: {text}")
        self.column = column


def fail(where: str, column: int, text: str) -> NoReturn:
    """The line is no event."""
    raise TimelineError(where, column, text)


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


class Words:
    """The words of a line with their columns."""

    def __init__(self, where: str, line: str, start: int = 0) -> None:
        self.where = where
        self._words = [(found.group(), found.start() + 1) for found in _TOKEN.finditer(line, start)]
        self._end = len(line.rstrip()) + 1
        self._at = 0
        unread = _TOKEN.sub("", line[start:]).strip()
        if unread:
            fail(where, line.index(unread[0], start) + 1, f'{unread[0]} has no partner; write words with blanks in "…"')

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
            fail(self.where, self._end, f"the line ends where {what} should be")
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
        if not NAME.fullmatch(word):
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
            fail(self.where, self.column, f"{self.peek()!r} is more than this line can say; take it away")

    def fail_last(self, text: str) -> NoReturn:
        """The word that was read last is wrong."""
        fail(self.where, self._words[self._at - 1][1], text)
