"""Plays a timeline against a running cluster: in time, with every fault's checks, and heals what is left at the end.

Each event has a thread of its own from its moment on, so that no check delays the next event; a fault's end waits for
its injection only.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final, Protocol

from experiments.base import RunningCluster
from experiments.timeline.actions import Action, CrashNode, Event, Heal, RestartSwitch, concerns
from experiments.timeline.board import Board
from experiments.timeline.faults.base import Case, Stay
from experiments.timeline.faults.catalogue import GOING_ON, fault_of
from experiments.timeline.happenings import NOT_REACHED, Happening, Happenings
from experiments.timeline.performing import Finder, Injected, heal, inject, renew, stays, take_turn
from experiments.timeline.schedule import Active, Due, moments
from experiments.timeline.site import Check, Site
from kubinet.cluster import Cluster
from kubinet.errors import KubinetError

_LOG = logging.getLogger(__name__)
_JOIN_SECONDS: Final = 120.0


class Stage(Protocol):
    """What a timeline needs of a run; `experiments.scene.Scene` is one."""

    @property
    def cluster(self) -> RunningCluster:
        """The run's cluster."""
        ...

    @property
    def seed(self) -> int:
        """The run's seed."""
        ...

    @property
    def started_s(self) -> float:
        """Zero of the timeline, seconds since 1970."""
        ...

    def tell(self, text: str) -> None:
        """Tell the user, one short line."""
        ...


def site_of(stage: Stage, *, files: Mapping[str, str] | None = None) -> Site:
    """What faults reach of a run's cluster; KubinetError when it is none of this machine. `files`: name to text."""
    cluster = stage.cluster
    if not isinstance(cluster, Cluster):
        raise KubinetError("a timeline needs a cluster of this machine: faults act inside its sandbox")
    return Site(cluster, stage.seed, files=files or {})


class Player:
    """One playing of a timeline: `start` at the workload's start, `stop` at its end."""

    def __init__(
        self,
        events: Iterable[Event],
        *,
        checks: bool = True,
        find: Finder = fault_of,
        open_site: Callable[[Stage], Site] = site_of,
    ) -> None:
        """`checks`: look for presence, symptom and recovery. `open_site`: what faults reach of the cluster."""
        self._events = tuple(events)
        self._checks = checks
        self._find = find
        self._open_site = open_site
        self._lock = threading.Lock()
        self._happenings = Happenings()
        self._active: list[Active] = []
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._defects: list[BaseException] = []
        self._ended = 0.0

    def check(self, site: Site) -> None:
        """Refuse what the cluster has not (UsageError), before anything happens."""
        for event in self._events:
            if not isinstance(event.action, Heal):
                self._find(event.action).check(Case(site, event.action))

    def start(self, stage: Stage) -> None:
        """Play in threads of its own; times count from `stage.started_s`."""
        self._stage = stage
        self._site = self._open_site(stage)
        self._board = Board(self._site.cluster.info.state_dir)
        self._clock = time.monotonic() - (time.time() - stage.started_s)
        self._player = threading.Thread(target=self._play, args=(moments(self._events),), name="timeline", daemon=True)
        self._player.start()

    def wait(self) -> None:
        """Return when the last event of the timeline and all checks are over."""
        self._player.join()
        self._join()

    def stop(self) -> tuple[Happening, ...]:
        """Play no more, heal what is still injected, wait for the recovery; all that happened, in order of time."""
        self._ended = time.monotonic() - self._clock
        self._stopping.set()
        self._player.join()
        for active in tuple(self._active):
            if not active.ending:
                self._start(self._heal, active, None)
        self._join()
        if self._defects:
            raise self._defects[0]
        return self.happenings

    @property
    def happenings(self) -> tuple[Happening, ...]:
        """What has happened so far, in order of time."""
        return self._happenings.so_far()

    # The moments

    def _play(self, plan: list[Due]) -> None:
        for due in plan:
            moment = self._clock + due.at
            stopped = self._stopping.wait(max(0.0, moment - time.monotonic()))
            if stopped and not self._heals_in_time(due):
                self._leave_out(due)
                continue
            late = max(0.0, time.monotonic() - moment)
            if due.active is None:
                assert isinstance(due.action, Heal)
                for active in self._meant(due.action):
                    self._end(active, late)
            elif due.ends:
                self._end(due.active, late)
            else:
                self._active.append(due.active)
                self._start(self._inject, due.active, late)

    def _heals_in_time(self, due: Due) -> bool:
        """Whether it was to heal before the workload's end: it still does, as the end does, and says how late it is."""
        heals = due.active is None or (due.ends and due.active in self._active)
        return heals and due.at <= self._ended

    def _leave_out(self, due: Due) -> None:
        """Say what did not happen; a fault that has begun is healed all the same."""
        if due.ends:
            return
        seconds = self._ended - due.at
        when = "after the end" if seconds < 0 else f"{seconds:.3f} s before the end: this machine was late for it"
        self._write(NOT_REACHED, due.action, f"planned for {due.at:g} s, {when}", None)

    def _meant(self, wanted: Heal) -> list[Active]:
        found = []
        for active in self._active:
            assert not isinstance(active.event.action, Heal)
            if not (active.ending or active.over.is_set()) and concerns(wanted, active.event.action):
                found.append(active)
        return found

    def _end(self, active: Active, late: float) -> None:
        active.ending = True
        self._start(self._heal, active, late)

    def _start(self, work: Callable[[Active, float | None], None], active: Active, late: float | None) -> None:
        def run() -> None:
            try:
                work(active, late)
            except KubinetError as error:
                self._note("failed", active, str(error), late)
            except Exception as error:
                _LOG.exception("%s", active.event)
                self._defects.append(error)
                self._note("failed", active, f"a defect of the fault: {error!r}", late)

        thread = threading.Thread(target=run, name=str(active.event.action), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _join(self) -> None:
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in tuple(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))
        left = [thread.name for thread in self._threads if thread.is_alive()]
        if left:
            raise KubinetError(f"timeline: still at work after {_JOIN_SECONDS:g} s: {', '.join(left)}")

    # Faults

    def _inject(self, active: Active, late: float | None) -> None:
        action = active.event.action
        assert not isinstance(action, Heal)
        site = self._site.fresh(active.over)
        try:
            done = inject(site, self._board, action, has_end=active.event.end is not None, find=self._find)
            active.name = done.name
        finally:
            active.injected.set()
        lateness = "" if late is None else f"{late:.3f} s late, "
        self._note("injected", active, f"{lateness}in {done.seconds:.3f} s", late)
        if isinstance(action, GOING_ON):
            turns = threading.Thread(target=self._turns, args=(active,), name=f"turns of {action}", daemon=True)
            self._threads.append(turns)
            turns.start()
        if self._checks:
            self._look(active, done)
        elif isinstance(action, RestartSwitch):
            done.symptom()  # the new bridges are programmed
        if isinstance(action, RestartSwitch):
            self._renew(active)
        if done.fault.stay is Stay.PASSES and self._checks:
            self._tell(active, done.healed(), "recovered", "not recovered")

    def _look(self, active: Active, done: Injected) -> None:
        for find, good, bad in ((done.present, "present", "absent"), (done.symptom, "symptom", "no symptom")):
            if isinstance(done.case.action, GOING_ON):
                entry = self._board.entry(done.name)
                if entry is not None:
                    done = replace(done, case=replace(done.case, memory=entry.memory))
            check = find()
            if active.over.is_set() and not check.holds:
                return  # it was healed before anything was to be seen
            self._tell(active, check, good, bad)

    def _turns(self, active: Active) -> None:
        action = active.event.action
        assert isinstance(action, GOING_ON)
        site = self._site.fresh(active.over)
        moment = self._clock + active.event.start
        while True:
            moment = max(moment + action.every, time.monotonic() - action.every)  # a turn that is missed is left out
            if active.over.wait(max(0.0, moment - time.monotonic())):
                return
            try:
                if take_turn(site, self._board, active.name, find=self._find) is None:
                    return
            except KubinetError as error:
                self._note("failed", active, str(error), None)

    def _heal(self, active: Active, late: float | None) -> None:
        action = active.event.action
        assert not isinstance(action, Heal)
        if not stays(action, self._find(action), has_end=active.event.end is not None):
            return
        active.over.set()
        active.injected.wait()
        with self._lock:
            if active.healing or not active.name:
                return
            active.healing = True
        site = self._site.fresh(threading.Event())
        done = heal(site, self._board, active.name, find=self._find)
        if done is None:
            return  # by hand, meanwhile
        lateness = "at the end, " if late is None else f"{late:.3f} s late, "
        self._note("healed", active, f"{lateness}in {done.seconds:.3f} s", late)
        if self._checks:
            self._tell(active, done.healed(), "recovered", "not recovered")
        if isinstance(action, CrashNode):
            self._renew(active)

    def _renew(self, active: Active) -> None:
        for name in renew(self._site.fresh(threading.Event()), self._board, find=self._find):
            self._note("renewed", active, f"{name} was set again", None)

    def _tell(self, active: Active, check: Check, good: str, bad: str) -> None:
        self._note(good if check.holds else bad, active, check.seen, None)

    def _note(self, event: str, active: Active, detail: str, late: float | None) -> None:
        self._write(event, active.event.action, detail, late)

    def _write(self, event: str, action: Action, detail: str, late: float | None) -> None:
        self._happenings.add(self._stage.started_s, event, action, detail, late)
        self._stage.tell(f"{action}: {event} ({detail})")
