"""How `kubinet policy` prints truth tables and differences."""

from collections.abc import Sequence
from typing import Any

from kubinet.cli.table import text_table
from kubinet.reach.differences import Change, Difference
from kubinet.reach.matrix import Matrix
from kubinet.reach.routes import decisive
from kubinet.reach.spans import ports_words

_MOST_NAMES = 8


def matrices_text(matrices: Sequence[Matrix]) -> str:
    """One table below the other."""
    return "\n".join(matrix.grid().text() for matrix in matrices)


def matrices_json(matrices: Sequence[Matrix]) -> list[dict[str, Any]]:
    """Every answer with its reason."""
    return [
        {
            "port": str(matrix.probe),
            "pairs": [
                {
                    "from": source,
                    "to": destination,
                    "allowed": judgement.allowed,
                    "egress": judgement.egress.reason,
                    "ingress": judgement.ingress.reason,
                }
                for (source, destination), judgement in matrix.judgements.items()
            ],
        }
        for matrix in matrices
    ]


def difference_text(found: Difference) -> str:
    """A line for each change with its reason, and the sum."""
    lines = ""
    if found.changes:
        rows = [_row(change) for change in found.changes]
        lines = text_table(("FROM", "TO", "PORTS", "BEFORE", "NOW", "WHY"), rows) + "\n"
    changed = len({(change.source, change.destination) for change in found.changes})
    lines += f"{changed} of {found.pairs} pairs change.\n"
    for names, words in ((found.gone, "Only before"), (found.come, "Only now")):
        if names:
            more = len(names) - _MOST_NAMES
            lines += f"{words}: {', '.join(names[:_MOST_NAMES])}{f' and {more} more' if more > 0 else ''}.\n"
    return lines


def _row(change: Change) -> tuple[str, ...]:
    words = {True: "allowed", False: "denied"}
    ports = ports_words(change.ports)
    return change.source, change.destination, ports, words[not change.allowed], words[change.allowed], change.after


def difference_json(found: Difference) -> dict[str, Any]:
    """All of it."""
    return {
        "pairs": found.pairs,
        "changes": [
            {
                "from": change.source,
                "to": change.destination,
                "ports": [str(span) for span in change.ports],
                "allowed": change.allowed,
                "before": change.before,
                "after": change.after,
            }
            for change in found.changes
        ],
        "onlyBefore": list(found.gone),
        "onlyNow": list(found.come),
    }


def why_text(matrix: Matrix, source: str, destination: str) -> str:
    """The oracle's reason for one answer."""
    return decisive(matrix.judgements[source, destination])
