"""`kubinet policy matrix --check`: oracle, flows and real packets beside each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

from kubinet.cli.policywitnesses import Ask, FlowWitness, can_be_sent, insisting
from kubinet.cli.tracing import ClusterTracer
from kubinet.reach.comparing import NOT_ASKED, Compared, Witness, compared, smallest, witness_grid
from kubinet.reach.grid import beside
from kubinet.reach.matrix import Matrix
from kubinet.reach.world import World

if TYPE_CHECKING:
    from kubinet.cluster import Cluster

_WIDE = 200


@dataclass(frozen=True, slots=True)
class Check:
    """A truth table with what the witnesses said."""

    matrix: Matrix
    answers: Sequence[Compared]


def check(cluster: "Cluster", world: World, matrices: Sequence[Matrix], timeout: float) -> list[Check]:
    """Ask the flows and send packets for every answer of the truth tables."""
    every = [Ask(*pair, matrix.probe) for matrix in matrices for pair in matrix.pairs()]
    expected = [matrix.judgements[pair] for matrix in matrices for pair in matrix.judgements]
    sent = [number for number, question in enumerate(every) if can_be_sent(question, cluster.facts.network.datapath)]
    told = insisting(cluster, [every[n] for n in sent], [expected[n].allowed for n in sent], timeout)
    packets = dict(zip(sent, told, strict=True))
    with ClusterTracer(cluster) as tracer:
        flows = FlowWitness(world, tracer)
        statements = [
            {Witness.WALK: flows.ask(question), Witness.PROBE: packets.get(number, NOT_ASKED)}
            for number, question in enumerate(every)
        ]
    found = iter(statements)
    return [Check(matrix, compared(matrix, [next(found) for _ in matrix.pairs()])) for matrix in matrices]


def text(checks: Sequence[Check]) -> str:
    """The three tables of each port, and the smallest disagreement explained."""
    width = get_terminal_size((_WIDE, 24)).columns
    parts = [
        beside(
            [
                ("oracle", one.matrix.grid()),
                *((str(witness), witness_grid(one.matrix, one.answers, witness)) for witness in Witness),
            ],
            width,
        )
        for one in checks
    ]
    return "\n".join([*parts, _sum(checks)])


def _sum(checks: Sequence[Check]) -> str:
    answers = [answer for one in checks for answer in one.answers]
    wrong = [answer for answer in answers if not answer.agree]
    unsent = sum(answer.statements[Witness.PROBE] is NOT_ASKED for answer in answers)
    note = ""
    if unsent:
        note = f"No real packets for {unsent} of them: from hosts outside, or SCTP on a datapath in userspace.\n"
    if not wrong:
        return f"All agree on {len(answers)} answers.\n{note}"
    found = smallest(wrong)
    assert found is not None
    lines = [
        f"{len(wrong)} of {len(answers)} answers differ. The smallest:",
        f"  {found.source.name} > {found.destination.name} {found.probe}",
        f"  oracle  {_word(found.judgement.allowed)}: {found.reason}",
    ]
    lines += [
        f"  {witness:6}  {_word(statement.allowed)}: {statement.words}"
        for witness, statement in found.statements.items()
        if statement is not NOT_ASKED
    ]
    return "".join(f"{line}\n" for line in lines) + note


def _word(allowed: bool | None) -> str:
    return "cannot tell" if allowed is None else "allowed" if allowed else "denied"


def agree(checks: Sequence[Check]) -> bool:
    """Whether nobody disagrees."""
    return all(answer.agree for one in checks for answer in one.answers)


def document(checks: Sequence[Check]) -> list[dict[str, Any]]:
    """All answers, for programs."""
    return [
        {
            "port": str(one.matrix.probe),
            "pairs": [
                {
                    "from": answer.source.name,
                    "to": answer.destination.name,
                    "agree": answer.agree,
                    "oracle": {"allowed": answer.judgement.allowed, "words": answer.reason},
                    **{
                        str(witness): {"allowed": statement.allowed, "words": statement.words}
                        for witness, statement in answer.statements.items()
                    },
                }
                for answer in one.answers
            ],
        }
        for one in checks
    ]
