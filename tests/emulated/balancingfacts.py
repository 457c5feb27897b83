"""What `service_load_balancing` must find on every machine: properties of the algorithms, by real connections."""

from collections.abc import Sequence
from typing import Final

Row = dict[str, str]

AS_DECLARED: Final = ("hash", "random", "round-robin", "weighted", "maglev")
"""Whose shares are known; by `source-hash` they are chance, by `least-connections` they depend on what is open."""


def check_algorithms(summary: Sequence[Row], samples: Sequence[Row]) -> None:
    """Round-robin is exact; hash, Maglev and the weights hold within chi-square; hash moves nothing needlessly when an
    endpoint leaves, Maglev little, round-robin much; by source-hash a client has one endpoint."""
    found = {(row["algorithm"], row["statistic"]): float(row["value"]) for row in summary if row["value"]}
    answered = [row for row in samples if row["unit"] == "answered"]
    assert {row["value"] for row in answered} == {"1.0"}

    p_values = {name: found[name, "χ² p-value"] for name in AS_DECLARED}
    assert p_values["round-robin"] == 1.0
    assert min(p_values.values()) > 0.0001
    needless = {name: found[name, "share moved needlessly"] for name in (*AS_DECLARED, "source-hash")}
    assert (needless["hash"], needless["source-hash"]) == (0, 0)
    assert needless["maglev"] < 0.1
    assert needless["round-robin"] > 0.3
    by_client: dict[tuple[str, str, str], set[str]] = {}
    for row in answered:
        if row["algorithm"] == "source-hash":
            by_client.setdefault((row["repetition"], row["metric"], row["source"]), set()).add(row["target"])
    assert {len(endpoints) for endpoints in by_client.values()} == {1}
