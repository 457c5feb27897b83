"""The experiment service_load_balancing on a real cluster: the algorithms' known properties, by real connections."""

import csv
from pathlib import Path

import pytest

from experiments import run_experiment

pytestmark = pytest.mark.emulated

SMALL = {
    "algorithms": "hash,round-robin,weighted,maglev,source-hash",
    "clients": 4,
    "ports": 50,
    "load_seconds": 0.5,
    "warmup_seconds": 0.0,
    "rate_seconds": 0.2,
}


def test_algorithms_have_their_properties(tmp_path: Path) -> None:
    """Round-robin is exact; hash, Maglev and the weights hold within chi-square; hash moves nothing needlessly when an
    endpoint leaves, Maglev hardly anything, round-robin most; by source-hash a client has one endpoint."""
    done = run_experiment(
        "service_load_balancing",
        topology="star",
        nodes=2,
        levels={"topology.network.dnsReplicas": ["0"]},
        parameters=SMALL,
        seed=1,
        repetitions=1,
        output_dir=tmp_path / "results",
    )
    assert done.state == "complete", done.why
    directory = done.directory
    with (directory / "summary.csv").open(newline="") as file:
        found = {
            (row["algorithm"], row["statistic"], row["target"]): float(row["value"]) for row in csv.DictReader(file)
        }
    with (directory / "runs.csv").open(newline="") as file:
        samples = [row for row in csv.DictReader(file) if row["unit"] == "answered"]
    assert {row["value"] for row in samples} == {"1.0"}
    assert len(samples) == 2 * 5 * 4 * 50

    p_values = {name: value for (name, statistic, _), value in found.items() if statistic == "χ² p-value"}
    assert p_values["round-robin"] == 1.0
    assert min(p_values.values()) > 0.0001
    needless = {name: value for (name, statistic, _), value in found.items() if statistic == "share moved needlessly"}
    assert (needless["hash"], needless["source-hash"]) == (0, 0)
    assert needless["maglev"] < 0.05
    assert needless["round-robin"] > 0.3
    by_client: dict[tuple[str, str], set[str]] = {}
    for row in samples:
        if row["algorithm"] == "source-hash":
            by_client.setdefault((row["metric"], row["source"]), set()).add(row["target"])
    assert {len(endpoints) for endpoints in by_client.values()} == {1}
