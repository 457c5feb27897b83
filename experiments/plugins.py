"""Workloads and measurements by kind: found by entry point, so that other packages can bring their own.

A kind is an entry point's name, or `module:object`: a plug-in of the experiment's own.
"""

import importlib
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Generic, TypeVar

from experiments.base import Parameter
from experiments.design.model import Settings
from experiments.offered import AS_ANSWERED, OfferedLoad
from experiments.scene import Measurement, Workload
from kubinet.errors import InvalidInputError, UsageError

WORKLOADS: Final = "kubinet.workloads"
MEASUREMENTS: Final = "kubinet.measurements"
_Plugin = TypeVar("_Plugin")


class SettingError(InvalidInputError):
    """A setting that a plug-in does not take."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class Kinds(Mapping[str, _Plugin], Generic[_Plugin]):
    """The plug-ins of a group by kind; each is imported when it is asked for."""

    def __init__(self, group: str, what: str) -> None:
        self._group = group
        self._what = what

    def __getitem__(self, kind: str) -> _Plugin:
        """The plug-in; UsageError naming those that there are."""
        module, colon, name = kind.partition(":")
        if colon:
            own: _Plugin = _instance(_object(f"{self._what} '{kind}'", module, name))
            return own
        point = self._points().get(kind)
        if point is None:
            raise UsageError(unknown_kind(self._what, kind, self))
        found: _Plugin = _instance(point.load())
        return found

    def __contains__(self, kind: object) -> bool:
        return isinstance(kind, str) and (":" in kind or kind in self._points())

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._points()))

    def __len__(self) -> int:
        return len(self._points())

    def _points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self._group)}


workloads: Final[Kinds[Workload]] = Kinds(WORKLOADS, "workload")
"""Every kind of workload that is installed."""
measurements: Final[Kinds[Measurement]] = Kinds(MEASUREMENTS, "measurement")
"""Every kind of measurement that is installed."""


def unknown_kind(what: str, kind: str, kinds: Mapping[str, object]) -> str:
    """What to say of a kind that does not exist."""
    names = ", ".join(sorted(kinds))
    return f"there is no {what} '{kind}'; there are: {names or 'none (`make env` installs Kubinet with its own)'}"


def complete(plugin: Workload | Measurement, given: Settings) -> Settings:
    """The settings with every default, types and ranges checked; SettingError (InvalidInputError) names the field.

    The plug-in's own `check` is the caller's business.
    """
    known: dict[str, Parameter] = {parameter.name: parameter for parameter in plugin.parameters}
    for name in given:
        if name not in known:
            raise SettingError(f"unknown field '{name}'; known: {', '.join(known) or 'none'}", name)
    for name in plugin.required:
        if given.get(name, "") == "":
            raise SettingError(f"field '{name}' is missing: {known[name].meaning}", name)
    settings = {}
    for name, parameter in known.items():
        try:
            settings[name] = parameter.check(given.get(name, parameter.default))
        except UsageError as error:
            raise SettingError(str(error), name) from error
    return settings


def offered_by(plugin: Workload, settings: Settings) -> OfferedLoad:
    """What a workload sends with complete settings; a plug-in of another package that does not say: nobody knows."""
    say = getattr(plugin, "offered", None)
    return say(settings) if say is not None else AS_ANSWERED


def labels_of(plugin: Workload | Measurement) -> tuple[str, ...]:
    """Labels of its readings that tables and claims may name: the plug-in's attribute `labels`, where it has any."""
    return tuple(getattr(plugin, "labels", ()))


def makes_objects(plugin: Workload | Measurement) -> bool:
    """Whether it makes pods or Services that no manifest tells; one that does not say (`makes_objects`) may."""
    return bool(getattr(plugin, "makes_objects", True))


def _object(subject: str, module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"{subject} cannot be loaded: {error}; write MODULE:OBJECT of an importable module") from error


def _instance(found: Any) -> Any:
    return found() if isinstance(found, type) else found
