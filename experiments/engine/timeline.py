"""The timeline of a run: planned events and what came of them go to events.csv, their subjects are excused."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from experiments.engine.tools import TimelineEvent
from experiments.records import Assessment, Verdict
from experiments.scene import Scene
from experiments.timeline.actions import (
    CONTROL,
    Action,
    CrashNode,
    Kill,
    LinkDown,
    LinkFlap,
    LinkSet,
    Partition,
    Pause,
    RestartSwitch,
    StopAgent,
)
from experiments.timeline.happenings import NOT_REACHED, Happening
from experiments.timeline.language import parse_timeline
from experiments.timeline.player import Player, Stage, site_of
from experiments.timeline.site import Site
from experiments.validity.watch import CONTROLLER

PLANNED: Final = "planned"


class PlayedTimeline:
    """Plays the lines against the run's cluster."""

    def __init__(
        self,
        lines: Sequence[str],
        files: Mapping[str, str],
        write: Callable[[TimelineEvent], None],
        excuse: Callable[[str], None],
    ) -> None:
        """`files`: texts of the files that the lines name."""
        self._events = parse_timeline(lines)
        self._files = files
        self._player = Player(self._events, open_site=self._site)
        self._write = write
        self._excuse = excuse

    def _site(self, stage: Stage) -> Site:
        return site_of(stage, files=self._files)

    def start(self, scene: Scene) -> None:
        """Begin; `scene.started_s` is its zero. UsageError for what the cluster has not, before anything happens."""
        self._player.check(self._site(scene))
        for event in self._events:
            end = "" if event.end is None else f"until {event.end:g} s"
            self._write(TimelineEvent(scene.started_s + event.start, event.start, PLANNED, str(event.action), end))
            for subject in excused(event.action, scene.topology):
                self._excuse(subject)
        self._player.start(scene)

    def stop(self) -> None:
        """Stop, heal what is still there, write all that happened."""
        try:
            self._player.stop()
        finally:
            for one in self._player.happenings:
                self._write(TimelineEvent(one.time_s, one.seconds, one.event, one.fault, one.detail))

    @property
    def assessment(self) -> Assessment:
        """Suspect when the workload ended too early for an event."""
        return assess_happenings(self._player.happenings)


def assess_happenings(happenings: Iterable[Happening]) -> Assessment:
    """Whether everything that the timeline planned has begun: else the run is not what its file says."""
    missed = (one for one in happenings if one.event == NOT_REACHED)
    left_out = tuple(f"timeline: `{one.fault}` was {NOT_REACHED}: {one.detail}" for one in missed)
    return Assessment(Verdict.SUSPECT if left_out else Verdict.VALID, left_out)


def excused(action: Action, topology: Mapping[str, Any]) -> Iterator[str]:
    """What an action disturbs on purpose, in the words of a run's watch."""
    match action:
        case LinkDown(link) | LinkFlap(link) | LinkSet(link):
            yield f"link {link}"
        case StopAgent(node):
            yield f"switch {node}"  # its bridges stay connected, and their flows current
        case RestartSwitch(node):
            yield from (f"switch {node}", f"flows {node}")
        case CrashNode(node):
            yield from (f"switch {node}", f"flows {node}")
            yield from (f"link {name}" for name in _links_of({node}, topology))
        case Partition(groups):
            named = {node for group in groups for node in group}
            nodes = sorted(named - {CONTROL})
            yield from (f"switch {node}" for node in nodes)
            if CONTROL in named:
                yield from (f"flows {node}" for node in nodes)
            yield from (f"link {name}" for name in _links_of(named, topology))
        case Kill() | Pause():
            yield CONTROLLER
        case _:
            return


def _links_of(nodes: set[str], topology: Mapping[str, Any]) -> list[str]:
    links = topology["spec"].get("links") or ()
    return [link["name"] for link in links if nodes & set(link["endpoints"])]
