"""What workloads share: typed settings, places and targets by name, readings of one pair."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from experiments.base import Holds, Parameter
from experiments.design.model import Settings
from experiments.measure.target import Host
from experiments.scene import Reading, Scene
from kubinet import units
from kubinet.errors import InvalidInputError, KubinetError, UsageError

PLACE_KINDS: Final = ("pod/", "node/", "outside/")
"""Beginnings of names of places where programs run; other targets are only addresses."""

FROM: Final = Parameter(
    "from", "", "", "where it starts: a place (`pod/NAME`, `node/NAME`, `outside/NAME`)", holds=Holds.PLACES
)
TO: Final = Parameter(
    "to", "", "", "where it goes: a place, `service/NAME[:PORT]` or `A.B.C.D[:PORT]`", holds=Holds.PLACES
)
SERVERS: Final = Parameter(
    "servers",
    "",
    "",
    "places where the server is started, with commas between; empty: at `to` where that is a place; "
    "`none`: it is there already",
    holds=Holds.PLACES,
)
NONE: Final = "none"


class Plugin:
    """Defaults of a plug-in."""

    required: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """Labels of its readings, which tables and claims may name."""
    makes_objects: bool = False
    """Whether it makes pods or Services that are not in the text of a parameter: then any may exist."""

    def check(self, settings: Settings) -> None:
        """Nothing beyond types and ranges."""


def text(settings: Settings, name: str) -> str:
    """A text; numbers as they are written."""
    return str(settings[name])


def whole(settings: Settings, name: str) -> int:
    """A whole number."""
    return int(settings[name])


def number(settings: Settings, name: str) -> float:
    """A number."""
    return float(settings[name])


def switch(settings: Settings, name: str) -> bool:
    """True or false."""
    return bool(settings[name])


def names(settings: Settings, name: str) -> tuple[str, ...]:
    """A list of names, with commas or spaces between."""
    return tuple(re.split(r"[,\s]+", text(settings, name).strip(", \t\n"))) if text(settings, name).strip() else ()


def seconds(settings: Settings, name: str) -> float:
    """A time such as `500ms` or `1s`, in seconds; InvalidInputError otherwise."""
    try:
        return units.parse_duration(settings[name])
    except ValueError as error:
        raise InvalidInputError(f"parameter '{name}': {error}") from error


def rate(settings: Settings, name: str) -> float | None:
    """A rate such as `20mbit` in bits per second; None for an empty text."""
    if not text(settings, name):
        return None
    try:
        return units.parse_rate(settings[name])
    except ValueError as error:
        raise InvalidInputError(f"parameter '{name}': {error}") from error


def one_of(settings: Settings, name: str, choices: Iterable[str]) -> None:
    """InvalidInputError when the text is none of the choices."""
    known = tuple(choices)
    if text(settings, name) not in known:
        raise InvalidInputError(f"parameter '{name}': {settings[name]!r} is none of {', '.join(known)}")


def is_place(name: str) -> bool:
    """Whether programs run there."""
    return name.startswith(PLACE_KINDS)


def check_places(settings: Settings, *parameters: str) -> None:
    """InvalidInputError unless every name in these parameters is a place."""
    for parameter in parameters:
        for name in names(settings, parameter):
            if not is_place(name):
                raise InvalidInputError(
                    f"parameter '{parameter}': programs cannot run at '{name}'; "
                    "a place is pod/NAME, pod/NAMESPACE/NAME, node/NAME or outside/NAME"
                )


def manifest(settings: Settings, name: str) -> str:
    """Manifests in a text; its last line ends, as only a text of several lines is no file's name."""
    return text(settings, name) + "\n"


def check_servers(settings: Settings, to: str = "to") -> None:
    """InvalidInputError when `servers` names no places, or is needed and empty."""
    if text(settings, "servers") == NONE:
        return
    check_places(settings, "servers")
    if not names(settings, "servers"):
        for name in names(settings, to):
            if not is_place(name):
                raise InvalidInputError(
                    f"parameter 'servers': '{name}' is no place, so name the places that serve it "
                    f"(servers: pod/a, pod/b), or write `{NONE}` where its pods serve by themselves"
                )


def servers(settings: Settings, *, to: str = "to") -> tuple[str, ...]:
    """The places where servers are started."""
    if text(settings, "servers") == NONE:
        return ()
    return names(settings, "servers") or names(settings, to)


@dataclass(frozen=True, slots=True)
class End:
    """Where traffic goes."""

    name: str
    address: IPv4Address
    port: int

    def __str__(self) -> str:
        return f"{self.name} ({self.address}:{self.port})"


def end(scene: Scene, name: str, port: int) -> End:
    """A target with its own port, or `port` where it names none."""
    address, named = scene.address(name)
    return End(name, address, named if named is not None else port)


def place(scene: Scene, name: str) -> Host:
    """A place; errors name it as the experiment does."""
    try:
        return scene.place(name)
    except UsageError:
        raise
    except KubinetError as error:
        raise KubinetError(f"{name}: {error}") from error


@dataclass(frozen=True, slots=True)
class Pair:
    """Makes readings from one place to another."""

    source: str
    target: str

    def reading(self, metric: str, value: float, unit: str, time_s: float, sequence: int = 0, **labels: str) -> Reading:
        """One value."""
        return Reading(metric, value, unit, time_s, sequence, self.source, self.target, labels)


def file_name(*words: str) -> str:
    """A file's name of places' names: letters, digits, dots and hyphens."""
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", word).strip("-") for word in words if word)
