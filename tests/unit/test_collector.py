"""Python's search for reference cycles, which must not fall into a measurement."""

import gc
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import pytest

from kubinet.collector import paused
from topologies.links.frames import Arrival, Direction, Load, spaced, streams


@pytest.fixture(autouse=True)
def enabled() -> Iterator[None]:
    """Each test begins and ends with Python's default."""
    gc.enable()
    yield
    gc.enable()


@dataclass
class Way:
    """A direction of a link on which nothing arrives; it notes whether a search could begin when it sends."""

    sent: int = 0
    searches: set[bool] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.sender, self.receiver = socket.socketpair()

    def send_short(self) -> None:
        self.searches.add(gc.isenabled())

    def fill(self, _size: int, _end: float) -> None:
        self.searches.add(gc.isenabled())

    def arrived(self) -> list[Arrival]:
        return []


def test_links_are_measured_without_a_search() -> None:
    """One through all that the underlay has imported took 55 ms of a stream's 500, and so 11 % of its rate."""
    way = Way()
    with way.sender, way.receiver:
        spaced([cast("Direction", way)], 3, [0.0], [0.0])
        streams([Load(cast("Direction", way), 1500, 0.01, 0.0)])
    assert way.searches == {False}
    assert gc.isenabled()


def test_a_pause_leaves_what_was() -> None:
    """A pause inside another one does not end it."""
    with paused():
        with paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
