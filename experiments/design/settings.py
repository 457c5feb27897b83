"""What levels set in one run, with the place in the file that says so. Pure."""

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from experiments.design.model import ExperimentDesign, Level, Settings
from experiments.design.paths import Parts, parse_path
from experiments.design.substitution import substitute
from experiments.records import Value
from kubinet.documents import Path
from kubinet.errors import InvalidInputError

_Kind = TypeVar("_Kind", int, str)


class DesignError(InvalidInputError):
    """Something of a design does not fit; `path` is the field, as `experiments.design.places` takes it."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


@contextmanager
def at(*path: str | int) -> Iterator[None]:
    """Errors inside are about this field, unless they know better."""
    try:
        yield
    except DesignError:
        raise
    except InvalidInputError as error:
        raise DesignError(str(error), path) from error


@dataclass(frozen=True, slots=True)
class Setting:
    """A path and what a level puts there."""

    path: str
    parts: Parts
    value: Value
    place: tuple[str, ...]
    """The level's, for messages."""

    def error(self, problem: str) -> DesignError:
        """An error about this path."""
        return DesignError(f"path {self.path!r}: {problem}", self.place)

    def checked(self, kind: type[_Kind]) -> _Kind:
        """The value, when it has that type; DesignError."""
        if type(self.value) is not kind:
            raise self.error(f"{self.value!r} is not {'a whole number' if kind is int else 'a text'}")
        return self.value


def settings_key(settings: Settings) -> Hashable:
    """Equal for equal settings; 1, 1.0 and true are different ones."""
    return frozenset((name, type(value), value) for name, value in settings.items())


def levels_of(design: ExperimentDesign, levels: Mapping[str, str]) -> Mapping[str, Level]:
    """Factor to its level in a run."""
    return {
        factor.name: next(one for one in factor.levels if one.name == levels[factor.name]) for factor in design.factors
    }


def values_of(design: ExperimentDesign, levels: Mapping[str, str]) -> Mapping[str, Value]:
    """What `$(name)` stands for in a run: parameters, and levels' values, which may name parameters."""
    values = dict(design.parameters)
    for factor, level in levels_of(design, levels).items():
        with at(*level_place(factor, level.name)):
            values[factor] = substitute(level.value, design.parameters)
    return values


def settings_of(design: ExperimentDesign, levels: Mapping[str, str], known: Mapping[str, Value]) -> tuple[Setting, ...]:
    """Everything that the run's levels set; two factors that set one path would hide one of them."""
    found: dict[str, Setting] = {}
    for factor, level in levels_of(design, levels).items():
        place = level_place(factor, level.name)
        for path, value in level.sets.items():
            with at(*place):
                setting = Setting(path, parse_path(path), substitute(value, known), place)
                if path in found:
                    raise setting.error(f"factor '{found[path].place[2]}' sets it too; let one of them do it")
                found[path] = setting
    return tuple(found.values())


def level_place(factor: str, level: str) -> tuple[str, ...]:
    """Where a level stands."""
    return ("spec", "factors", factor, "levels", level)
