"""One fault from its injection to its recovery, with its checks; used by the player and by hand."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from experiments.timeline.actions import Heal, Injection, Partition, concerns
from experiments.timeline.board import Board
from experiments.timeline.faults.base import Case, Fault, RecurringFault, Stay
from experiments.timeline.faults.catalogue import GOING_ON, fault_of
from experiments.timeline.site import Check, Site
from kubinet.errors import KubinetError

Finder = Callable[[Injection], Fault[Any]]


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that was injected."""

    case: Case[Any]
    fault: Fault[Any]
    name: str
    """On the board; empty where there is nothing to be healed."""
    seconds: float
    """How long the injection took."""

    def present(self) -> Check:
        """Wait until it is there."""
        return self.case.site.wait(lambda: self.fault.present(self.case), self.fault.presence_seconds)

    def symptom(self) -> Check:
        """Wait until the cluster suffers."""
        return self.case.site.wait(lambda: self.fault.symptom(self.case), self.fault.effect_seconds)

    def healed(self) -> Check:
        """Wait until everything is as before."""
        return self.case.site.wait(lambda: self.fault.healed(self.case), self.fault.recovery_seconds)


def stays(action: Injection, fault: Fault[Any], *, has_end: bool) -> bool:
    """Whether it is there until somebody heals it, and so belongs on the board."""
    return fault.stay is Stay.UNTIL_HEALED or (fault.stay is Stay.STEP and has_end) or isinstance(action, GOING_ON)


def inject(site: Site, board: Board, action: Injection, *, has_end: bool = False, find: Finder = fault_of) -> Injected:
    """Inject, and put what stays on the board; a failure leaves nothing there."""
    fault = find(action)
    case = Case(site, action)
    fault.check(case)
    if not stays(action, fault, has_end=has_end):
        began = time.monotonic()
        done = replace(case, memory=fault.inject(case))
        return Injected(done, fault, "", time.monotonic() - began)
    entry = board.add(action, time.time())
    began = time.monotonic()
    try:
        memory = fault.inject(case)
    except BaseException:
        with suppress(KubinetError):
            fault.heal(case)  # what was done before the failure
        board.remove(entry.name)
        raise
    took = time.monotonic() - began
    with board.locked():
        board.remember(entry.name, memory)
    return Injected(replace(case, memory=memory), fault, entry.name, took)


def take_turn(site: Site, board: Board, name: str, *, find: Finder = fault_of) -> Case[Any] | None:
    """The next change of a fault that goes on; None when it was healed."""
    with board.locked():
        entry = board.entry(name)
        if entry is None:
            return None
        case = Case(site, entry.action, entry.memory)
        fault = find(entry.action)
        assert isinstance(fault, RecurringFault)  # actions with `every` are theirs
        memory = fault.turn(case)
        board.remember(name, memory)
        return replace(case, memory=memory)


def heal(site: Site, board: Board, name: str, *, find: Finder = fault_of) -> Injected | None:
    """Undo a fault of the board; None when it is not there any more. One that cannot be undone stays on the board."""
    entry = board.remove(name)
    if entry is None:
        return None
    fault, case = find(entry.action), Case(site, entry.action, entry.memory)
    began = time.monotonic()
    try:
        fault.heal(case)
    except BaseException:
        board.put_back(entry)
        raise
    return Injected(case, fault, name, time.monotonic() - began)


def renew(site: Site, board: Board, *, find: Finder = fault_of) -> list[str]:
    """Set the partitions again that a node's new Open vSwitch knows nothing of; returns their names."""
    again = []
    for entry in board.entries():
        case = Case(site, entry.action, entry.memory)
        if isinstance(entry.action, Partition):
            try:
                if find(entry.action).present(case).holds:
                    continue
                with board.locked():
                    if board.entry(entry.name) is not None:
                        find(entry.action).inject(case)
                        again.append(entry.name)
            except KubinetError:
                continue  # another node's switch is down, too: it is renewed when that one comes back
    return again


def matching(board: Board, what: str, target: str = "") -> list[str]:
    """The names of the entries that a `heal` means."""
    return [entry.name for entry in board.entries() if concerns(Heal(what, target), entry.action)]
