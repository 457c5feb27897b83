"""Whether a timeline fits a run: its nodes, links, objects and files are there. Pure but for a look at the files."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from experiments.design.existing import Existing
from experiments.design.missing import missing_object
from experiments.near import listed, meant
from experiments.timeline.actions import (
    CONTROL,
    Action,
    Apply,
    CrashNode,
    Delete,
    Event,
    Heal,
    LinkDown,
    LinkFlap,
    LinkSet,
    Partition,
    RestartSwitch,
    Scale,
    StopAgent,
)
from experiments.timeline.language import parse_event
from kubinet.errors import InvalidInputError


def check_timeline(
    events: Iterable[Event], existing: Existing, folder: Path, files: Mapping[str, str] | None = None
) -> None:
    """InvalidInputError, with its line, for the first event about something that a run's cluster or the folder has not.

    `files`: texts by the names that events may give them; others are looked for in the folder.
    """
    spec = existing.topology["spec"]
    nodes = [str(node["name"]) for node in spec["nodes"]]
    links = {str(link["name"]): link for link in spec["links"]}
    for event in events:
        for problem in (*_problems(event, nodes, links), *_missing(event, existing)):
            raise InvalidInputError(f"{event.where}: `{event.action}`: {problem}")
        name = file_of(event.action)
        if name is not None and name not in (files or {}) and not (folder / name).is_file():
            problem = f"there is no file {folder / name}; files are relative to the experiment's folder"
            raise InvalidInputError(f"{event.where}: `{event.action}`: {problem}")


def file_of(action: Action) -> str | None:
    """The manifest file that an action names."""
    match action:
        case Apply(file) | Delete(file):
            return file
        case _:
            return None


def line_checker(folder: Path, files: Mapping[str, str]) -> Callable[[str, Existing], None]:
    """What `experiments.design.check.Surroundings.check_line` is: a line and a run in, InvalidInputError out."""
    return lambda line, existing: check_timeline([parse_event(line)], existing, folder, files)


def _problems(event: Event, nodes: list[str], links: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    match event.action:
        case Partition(groups):
            for name in (name for group in groups for name in group if name != CONTROL):
                yield from _known("node", name, nodes)
        case RestartSwitch(node) | StopAgent(node) | CrashNode(node):
            yield from _known("node", node, nodes)
        case Heal("ovs" | "agent" | "node", node) if node:
            yield from _known("node", node, nodes)
        case Heal("link", link) if link:
            yield from _known("link", link, links)
        case LinkDown(link) | LinkFlap(link):
            yield from _known("link", link, links)
        case LinkSet(link, settings):
            yield from _known("link", link, links)
            yield from _settable(links[link], dict(settings))
        case _:
            return


def _missing(event: Event, existing: Existing) -> Iterable[str]:
    if isinstance(event.action, Scale) and (problem := missing_object(event.action.object, existing)):
        yield problem


def _known(what: str, name: str, known: Iterable[str]) -> Iterable[str]:
    known = list(known)
    if name not in known:
        yield f"there is no {what} '{name}'{meant(name, known)}; {what}s: {listed(known)}"


def _settable(link: Mapping[str, Any], settings: Mapping[str, str]) -> Iterable[str]:
    """A link gets at run time only what it has the means for."""
    for name in ("rate", "queue"):
        if name in settings and not link.get(name):
            yield f"the link declares no {name} and could not be without one again; declare one in the topology"
    impaired = {"delay", "jitter", "loss"}
    if impaired & settings.keys() and not any(link.get(name) for name in impaired):
        yield "the link declares no delay, jitter or loss; declare one in the topology, however small (delay: 1us)"
