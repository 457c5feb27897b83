"""The truth table: who reaches whom on which port, by the oracle."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from kubinet.policy import Judgement, Oracle
from kubinet.reach.grid import ALLOWED, DENIED, SELF, Grid
from kubinet.reach.probes import Probe, order
from kubinet.reach.world import Place, World
from kubinet.transport import Protocol

Pair: TypeAlias = tuple[str, str]
_ASK_WITHOUT_PORTS = Probe(Protocol.TCP, 80)


@dataclass(frozen=True, slots=True)
class Matrix:
    """The answers for one port. A place and itself are not among them."""

    probe: Probe
    sources: tuple[Place, ...]
    destinations: tuple[Place, ...]
    judgements: Mapping[Pair, Judgement]

    def pairs(self) -> Iterator[tuple[Place, Place]]:
        """Source and destination of every answer, in the table's order."""
        for source in self.sources:
            for destination in self.destinations:
                if (source.name, destination.name) in self.judgements:
                    yield source, destination

    def allowed(self) -> Mapping[Pair, bool]:
        """The answers alone."""
        return {pair: judgement.allowed for pair, judgement in self.judgements.items()}

    def grid(self, answers: Mapping[Pair, bool] | None = None) -> Grid:
        """As text; `answers`: somebody else's, for the same pairs."""
        told = self.allowed() if answers is None else answers
        return grid(str(self.probe), self.sources, self.destinations, told)


def grid(corner: str, sources: Sequence[Place], destinations: Sequence[Place], answers: Mapping[Pair, bool]) -> Grid:
    """Answers as a table; pairs without one are left empty."""
    cells = {pair: ALLOWED if allowed else DENIED for pair, allowed in answers.items()}
    cells |= {(place.name, place.name): SELF for place in sources}
    return Grid(corner, tuple(one.name for one in sources), tuple(one.name for one in destinations), cells)


def matrix(oracle: Oracle, sources: Sequence[Place], destinations: Sequence[Place], probe: Probe) -> Matrix:
    """Ask about every pair of which at least one end is a pod: about others policies say nothing."""
    judgements = {
        (source.name, destination.name): oracle.judge(
            source.source, destination.destination, probe.protocol, probe.port
        )
        for source in sources
        for destination in destinations
        if source.name != destination.name and (source.judged or destination.judged)
    }
    return Matrix(probe, tuple(sources), tuple(destinations), judgements)


def declared_probes(world: World, destinations: Sequence[Place]) -> list[Probe]:
    """The ports that containers of these pods declare; 80/TCP where none does."""
    found = {
        Probe(Protocol[protocol], number)
        for place in destinations
        for number, protocol in world.ports.get(place.name, ())
        if protocol in Protocol.__members__
    }
    return sorted(found or {_ASK_WITHOUT_PORTS}, key=order)
