"""Three independent answers to one question: the oracle's, the installed flows', and real packets'."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from kubinet.policy import Judgement
from kubinet.reach.grid import ALLOWED, DENIED, UNKNOWN, Grid
from kubinet.reach.matrix import Matrix, grid
from kubinet.reach.probes import Probe
from kubinet.reach.routes import decisive
from kubinet.reach.world import Place


class Witness(StrEnum):
    """Who is asked beside the oracle."""

    WALK = "walk"
    """What the flows on the bridges would do."""
    PROBE = "probe"
    """What became of a real packet."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A witness's answer."""

    allowed: bool | None
    """None: it cannot tell."""
    words: str = ""


NOT_ASKED = Statement(None, "not asked")


@dataclass(frozen=True, slots=True)
class Compared:
    """One pair and port with all answers."""

    probe: Probe
    source: Place
    destination: Place
    judgement: Judgement
    statements: Mapping[Witness, Statement]

    @property
    def agree(self) -> bool:
        """Whether every witness that was asked says what the oracle says; one that cannot tell does not."""
        return all(
            statement.allowed is self.judgement.allowed
            for statement in self.statements.values()
            if statement is not NOT_ASKED
        )

    @property
    def reason(self) -> str:
        """The oracle's."""
        return decisive(self.judgement)

    @property
    def size(self) -> tuple[object, ...]:
        """For sorting: how much there is to understand about it. Few policies, one node, short names come first."""
        rulings = (self.judgement.egress, self.judgement.ingress)
        policies = {key for ruling in rulings for key in (*ruling.isolated_by, ruling.policy) if key}
        nodes = {place.pod.node if place.pod is not None else place.node for place in (self.source, self.destination)}
        names = (self.source.name, self.destination.name)
        return len(policies), len(nodes), sum(map(len, names)), names, str(self.probe)


def compared(matrix: Matrix, told: Iterable[Mapping[Witness, Statement]]) -> list[Compared]:
    """All pairs of a truth table, in its order, with what the witnesses said about each."""
    return [
        Compared(matrix.probe, source, destination, matrix.judgements[source.name, destination.name], statements)
        for (source, destination), statements in zip(matrix.pairs(), told, strict=True)
    ]


def smallest(every: Iterable[Compared]) -> Compared | None:
    """The disagreement that is easiest to understand; None where all agree."""
    wrong = [one for one in every if not one.agree]
    return min(wrong, key=lambda one: one.size, default=None)


def witness_grid(matrix: Matrix, every: Sequence[Compared], witness: Witness) -> Grid:
    """A witness's own truth table; `?` where it cannot tell, nothing where it was not asked."""
    plain = grid(str(matrix.probe), matrix.sources, matrix.destinations, {})
    cells = dict(plain.cells)
    for one in every:
        statement = one.statements[witness]
        if statement is not NOT_ASKED:
            sign = UNKNOWN if statement.allowed is None else ALLOWED if statement.allowed else DENIED
            cells[one.source.name, one.destination.name] = sign
    return Grid(plain.corner, plain.rows, plain.columns, cells)
