"""What changes between two sets of policies: who was reached and is not then, and the other way round.

Nothing is left out: ports are asked about in spans that no policy of either side divides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kubinet.policy import Judgement, Oracle
from kubinet.reach.routes import decisive
from kubinet.reach.spans import Span, spans
from kubinet.reach.world import Place, World


@dataclass(frozen=True, slots=True)
class Change:
    """Ports of one pair whose answer changes in the same way; the reasons are those of the first of them."""

    source: str
    destination: str
    ports: tuple[Span, ...]
    allowed: bool
    """Afterwards."""
    before: str
    """Why it was as it was."""
    after: str
    """Why it is as it is then."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two worlds."""

    changes: tuple[Change, ...]
    pairs: int
    """How many were compared."""
    gone: tuple[str, ...]
    """Places that only the old one has, by name; they are not compared."""
    come: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two, and who is asked about there."""

    world: World
    sources: Sequence[Place]
    destinations: Sequence[Place]

    @property
    def names(self) -> set[str]:
        """Of all places."""
        return {place.name for place in (*self.sources, *self.destinations)}


def difference(old: Side, new: Side, ports: Iterable[Span] | None = None) -> Difference:
    """Compare. `ports`: only these; None: all there are."""
    asked = list(spans([old.world.state, new.world.state]) if ports is None else ports)
    oracles = Oracle(old.world.state), Oracle(new.world.state)
    before = {place.name: place for place in old.sources}, {place.name: place for place in old.destinations}
    changes: list[Change] = []
    pairs = 0
    for source in new.sources:
        for destination in new.destinations:
            known = before[0].get(source.name), before[1].get(destination.name)
            if known[0] is None or known[1] is None or source.name == destination.name:
                continue
            if not (source.judged or destination.judged):
                continue
            pairs += 1
            changes += _changes(oracles, (known[0], known[1]), (source, destination), asked)
    return Difference(tuple(changes), pairs, tuple(sorted(old.names - new.names)), tuple(sorted(new.names - old.names)))


def _changes(
    oracles: tuple[Oracle, Oracle], old: tuple[Place, Place], new: tuple[Place, Place], ports: Iterable[Span]
) -> list[Change]:
    found: dict[bool, list[tuple[Span, Judgement, Judgement]]] = {}
    for span in ports:
        before, after = (_judge(oracle, pair, span) for oracle, pair in zip(oracles, (old, new), strict=True))
        if before.allowed is not after.allowed:
            found.setdefault(after.allowed, []).append((span, before, after))
    names = new[0].name, new[1].name
    return [
        Change(*names, tuple(span for span, _, _ in some), allowed, decisive(some[0][1]), decisive(some[0][2]))
        for allowed, some in found.items()
    ]


def _judge(oracle: Oracle, pair: tuple[Place, Place], span: Span) -> Judgement:
    return oracle.judge(pair[0].source, pair[1].destination, span.probe.protocol, span.probe.port)
