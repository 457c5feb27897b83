"""Asks a UDP server all the time, and tells when it falls silent and when it answers again; standard library only.

It runs inside a node (`python -I policy_prober.py new|kept`): `new` uses another source port for each question, `kept`
always the same one, so that a policy meets an established connection. It reads `watch ADDRESS PORT` from its standard
input and prints `UP NANOSECONDS` and `DOWN NANOSECONDS` (CLOCK_MONOTONIC, which all namespaces share): when the first
question was sent that was answered, or the first of a row that was not.
"""

import contextlib
import os
import select
import socket
import sys
import time
from collections import deque
from typing import Any

INTERVAL_S = 0.005
"""A question every 5 ms: the resolution of what is measured."""
PATIENCE_S = 0.25
"""A question without an answer after this time is lost."""
ROW = 5
"""So many lost ones one after the other are silence, and no accident."""


class Question:
    """One question that was sent."""

    def __init__(self, asker: socket.socket, sent: float) -> None:
        self.asker, self.sent, self.answered = asker, sent, False


class Judge:
    """Says UP and DOWN from questions and their answers."""

    def __init__(self) -> None:
        self._up, self._turned = False, 0.0
        self._lost: list[Question] = []

    def answered(self, question: Question) -> None:
        """An answer has come."""
        question.answered = True
        if not self._up and question.sent > self._turned:
            self._turn("UP", question.sent)

    def over(self, question: Question) -> None:
        """Nobody waits for the answer any more; in the order in which they were sent."""
        if question.answered:
            self._lost.clear()
        elif self._up and question.sent > self._turned:
            self._lost.append(question)
            if len(self._lost) == ROW:
                self._turn("DOWN", self._lost[0].sent)

    def _turn(self, word: str, at: float) -> None:
        self._up, self._turned = word == "UP", at
        self._lost.clear()
        sys.stdout.write(f"{word} {int(at * 1e9)}\n")
        sys.stdout.flush()


class Prober:
    """Sends the questions and takes the answers in."""

    def __init__(self, *, fresh: bool) -> None:
        self._fresh = fresh
        self._judge = Judge()
        self._open: deque[Question] = deque()
        self._by_number: dict[int, Question] = {}
        self._number = 0
        self._target = ("", 0)
        self._kept: socket.socket | None = None

    def watch(self, target: tuple[str, int]) -> None:
        """Whom to ask."""
        self._target = target
        self._kept = None if self._fresh else self._asker()

    def _asker(self) -> socket.socket:
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        asker.setblocking(False)
        asker.connect(self._target)
        return asker

    def sockets(self) -> list[socket.socket]:
        """Where answers may come."""
        return [question.asker for question in self._open] if self._kept is None else [self._kept]

    def take(self, asker: socket.socket) -> None:
        """Read all that has come to a socket."""
        with contextlib.suppress(OSError):
            while True:
                words = asker.recv(512).split()
                question = self._by_number.pop(int(words[-1]), None) if words else None
                if question is not None:
                    self._judge.answered(question)

    def ask(self, now: float) -> None:
        """Send one question."""
        self._number += 1
        question = Question(self._kept or self._asker(), now)
        self._by_number[self._number] = question
        self._open.append(question)
        with contextlib.suppress(OSError):
            question.asker.send(b"echo %d" % self._number)

    def give_up(self, now: float) -> None:
        """Close what is answered or too old."""
        while self._open and (self._open[0].answered or now - self._open[0].sent > PATIENCE_S):
            question = self._open.popleft()
            if self._kept is None:
                question.asker.close()
            self._judge.over(question)


def main() -> None:
    """Ask until standard input ends."""
    prober, watching, pending, due = Prober(fresh=sys.argv[1] == "new"), False, b"", 0.0
    while True:
        sockets: list[Any] = prober.sockets() if watching else []
        timeout = max(0.0, due - time.monotonic()) if watching else None
        readable, _, _ = select.select([0, *sockets], [], [], timeout)
        if 0 in readable:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                words = line.decode().split()
                prober.watch((words[1], int(words[2])))
                watching = True
        for asker in readable:
            if isinstance(asker, socket.socket):
                prober.take(asker)
        now = time.monotonic()
        prober.give_up(now)
        if watching and now >= due:
            due = now + INTERVAL_S
            prober.ask(now)


if __name__ == "__main__":
    main()
