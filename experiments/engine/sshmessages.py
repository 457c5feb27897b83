"""What this machine and a worker at the other end of an SSH connection say to each other: one JSON object a line.

Each way goes over the remote program's standard streams. The worker's lines begin with `MARK`: what a login shell
greets with does not.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from experiments.engine.values import from_data, to_data
from kubinet.errors import InvalidInputError

MARK: Final = "kubinet-worker "

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class Hello:
    """The worker's first line: who it is. What it is told depends on it, so it comes before any secret."""

    version: str
    fingerprint: str
    dask: str
    """Dask distributed's version; empty where it is missing."""
    time_s: float
    """Its clock, seconds since 1970: certificates are valid from a time on."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a worker needs, secrets among them."""

    name: str
    scheduler: str
    """Where the worker reaches the scheduler: an address of its own machine that SSH forwards."""
    credentials: Mapping[str, str]
    """PEM texts, by their names in Dask's `Security`."""


@dataclass(frozen=True, slots=True)
class Listening:
    """The worker listens at this port of its machine's 127.0.0.1."""

    port: int


@dataclass(frozen=True, slots=True)
class Contact:
    """Where the scheduler reaches the worker: an address of the scheduler's machine that SSH forwards."""

    address: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The scheduler has the worker."""

    name: str


def to_line(message: object) -> str:
    """A message as a line, with its end."""
    return f"{json.dumps(to_data(message))}\n"


def from_line(kind: type[Kind], line: str | bytes) -> Kind:
    """The message of a line; InvalidInputError where it is another."""
    try:
        return from_data(kind, json.loads(line))
    except ValueError as error:
        raise InvalidInputError(f"this is no {kind.__name__}: {line!r}; another version of Kubinet wrote it") from error
