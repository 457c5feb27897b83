"""What probes decide about one run of a container: thresholds, when the next is due, the verdicts. Pure.

Source: Kubernetes' documentation of probes and the behaviour of kubelet's prober: the first run comes right after the
initial delay, readiness begins as failed, liveness as passed, and the other probes wait for the startup probe.
Times are seconds of a monotonic clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from agents.probes.spec import Kind, Probe

_SETTLE_SECONDS: Final = 0.2
"""A program that has just been started is not asked at once; kubelet, too, learns of a start a moment later."""
_EARLY_SECONDS: Final = 1.0
_NEVER_EARLY: Final = 1000
"""Of a container that has been ready once: from then on whole periods."""


class Outcome(Enum):
    """How one run of a probe ended."""

    SUCCESS = auto()
    FAILURE = auto()
    ERROR = auto()
    """It could not be run (no such port name, no such program): counts as nothing."""


@dataclass(frozen=True, slots=True)
class Before:
    """What the API already said of this run of the container, when another agent had begun to probe it."""

    started: bool = False
    ready: bool = False


@dataclass(frozen=True, slots=True)
class _Progress:
    """One probe's run of equal outcomes, its verdict, and when it is due."""

    probe: Probe
    passed: bool | None
    """None: no verdict yet (startup)."""
    due: float | None = None
    """None: on hold."""
    running: bool = False
    last: bool | None = None
    streak: int = 0
    early: int = 0
    """Runs of a readiness probe that has not passed yet."""

    @property
    def pause(self) -> float:
        """Seconds from the begin of a run to the next.

        A container that has never been ready is asked after 1, 2, 4 … s, so that it need not wait for a whole period
        because it was asked a moment too early; kubelet does alike by running the probe whenever it syncs the pod.
        """
        if self.probe.kind is Kind.READINESS and self.passed is False:
            return min(self.probe.period, _EARLY_SECONDS * 2.0 ** min(self.early, 30))
        return self.probe.period


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes say of one run of a container."""

    started: bool = True
    ready: bool = True
    failed: Probe | None = None
    """The startup or liveness probe because of which the container has to end."""


@dataclass(frozen=True, slots=True)
class ProbeState:
    """All probes of one run of a container. Every method returns a new state."""

    began: float
    """When the container started."""
    progress: Mapping[Kind, _Progress]
    terminating: bool = False

    @property
    def started(self) -> bool:
        """Whether the startup probe has passed, or there is none."""
        startup = self.progress.get(Kind.STARTUP)
        return startup is None or startup.passed is True

    @property
    def ready(self) -> bool:
        """Whether the container has started and its readiness probe, if any, has passed."""
        readiness = self.progress.get(Kind.READINESS)
        return self.started and (readiness is None or readiness.passed is True)

    @property
    def failed(self) -> Probe | None:
        """The startup or liveness probe because of which the container has to end."""
        for kind in (Kind.STARTUP, Kind.LIVENESS):
            one = self.progress.get(kind)
            if one is not None and one.passed is False:
                return one.probe
        return None

    @property
    def health(self) -> Health:
        """The verdicts."""
        return Health(self.started, self.ready, self.failed)

    @property
    def next_due(self) -> float | None:
        """When the next probe shall run."""
        return min((one.due for one in self.progress.values() if one.due is not None and not one.running), default=None)

    def due(self, now: float) -> tuple[Probe, ...]:
        """The probes to run now."""
        return tuple(
            one.probe for one in self.progress.values() if one.due is not None and one.due <= now and not one.running
        )

    def begin(self, kind: Kind, now: float) -> "ProbeState":
        """A run of the probe begins; the next is due one period later."""
        one = self.progress[kind]
        return self._with(replace(one, running=True, due=now + one.pause, early=one.early + 1))

    def conclude(self, kind: Kind, outcome: Outcome, now: float) -> "ProbeState":
        """A run of the probe has ended."""
        one = replace(self.progress[kind], running=False)
        if one.due is None or outcome is Outcome.ERROR:
            return self._with(one)  # held meanwhile, or thrown away
        good = outcome is Outcome.SUCCESS
        one = replace(one, last=good, streak=one.streak + 1 if one.last is good else 1)
        if one.streak < (one.probe.success_threshold if good else one.probe.failure_threshold):
            return self._with(one)
        one = replace(one, passed=good, early=_NEVER_EARLY if good else one.early)
        if kind is Kind.STARTUP or (kind is Kind.LIVENESS and not good):
            one = replace(one, due=None)
        changed = self._with(one)
        return changed._release(now) if kind is Kind.STARTUP and good else changed

    def terminate(self, now: float) -> "ProbeState":
        """The pod is being deleted: startup and liveness stop and count as passed, readiness goes on."""
        if self.terminating:
            return self
        started = self.started
        stopped = {
            kind: one if kind is Kind.READINESS else replace(one, passed=True, due=None)
            for kind, one in self.progress.items()
        }
        changed = replace(self, progress=MappingProxyType(stopped), terminating=True)
        return changed if started else changed._release(now)

    def _release(self, now: float) -> "ProbeState":
        """The container has started: what waited for that begins."""
        state = self
        for kind, one in self.progress.items():
            if kind is Kind.READINESS or (kind is Kind.LIVENESS and not self.terminating):
                state = state._with(replace(one, due=max(now, _first(one.probe, self.began))))
        return state

    def _with(self, changed: _Progress) -> "ProbeState":
        return replace(self, progress=MappingProxyType({**self.progress, changed.probe.kind: changed}))


def first_state(
    probes: Iterable[Probe], began: float, now: float, before: Before | None = None, jitter: float = 0.0
) -> ProbeState:
    """The state of a container that started at `began` and is probed from `now` on.

    `before`: what an earlier agent found, so that nothing changes until the first run. `jitter`, from 0 to 1: the
    part of a period by which first runs wait, so that a new agent does not run the probes of all its pods at once.
    """
    known = before or Before()
    progress = {}
    for probe in probes:
        passed = {Kind.STARTUP: known.started or None, Kind.LIVENESS: True, Kind.READINESS: known.ready}[probe.kind]
        progress[probe.kind] = _Progress(probe, passed, early=_NEVER_EARLY if passed else 0)
    state = ProbeState(began, MappingProxyType(progress))
    for kind, one in progress.items():
        # Before the container has started only its startup probe runs, afterwards only the others.
        if (kind is Kind.STARTUP) is not state.started:
            due = max(now, _first(one.probe, began)) + jitter * one.probe.period
            state = state._with(replace(one, due=due))
    return state


def _first(probe: Probe, began: float) -> float:
    return began + max(probe.initial_delay, _SETTLE_SECONDS)
