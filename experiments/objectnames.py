"""Objects as experiments name them: `Deployment/web`, `shop:StatefulSet/db`. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kubinet.errors import UsageError

_FORM: Final = re.compile(r"(?:([a-z0-9-]+):)?([A-Z][A-Za-z]*)/([a-z0-9.-]+)")
_LISTED: Final = re.compile(r"[,\s]+")


@dataclass(frozen=True, slots=True, order=True)
class ObjectName:
    """An object as an experiment's file names it."""

    kind: str
    name: str
    namespace: str = "default"

    def __str__(self) -> str:
        return f"{'' if self.namespace == 'default' else f'{self.namespace}:'}{self.kind}/{self.name}"


def parse_object(text: str) -> ObjectName:
    """Read `Kind/NAME` or `NAMESPACE:Kind/NAME`; UsageError for anything else."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} names no object; write Kind/NAME or NAMESPACE:Kind/NAME, such as Deployment/web")
    namespace, kind, name = found.groups()
    return ObjectName(kind, name, namespace or "default")


def objects_in(text: str) -> Iterator[ObjectName]:
    """The objects of a list with commas or blanks between; UsageError for a word that names none."""
    yield from map(parse_object, filter(None, _LISTED.split(text)))
