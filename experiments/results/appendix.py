"""The texts of a bundle that say what it shows: the appendix draft and claims.yml.

Sections as ACM's and USENIX' artifact evaluations ask for them: needs, major claims each linked to an experiment, how
to compare; expected human and machine time, disk, and messages that are no fault.
"""

from collections.abc import Sequence
from typing import Any

from experiments.results.claims import ClaimResult, Outcome
from experiments.results.installing import installation
from experiments.results.loading import Results
from experiments.results.scripts import spent_s
from experiments.results.wording import duration, levels_text, size


def claims_document(results: Results, found: Sequence[ClaimResult]) -> dict[str, Any]:
    """claims.yml: claim, experiment, tolerance, verdict."""
    return {
        "experiment": {
            "name": results.design.name,
            "file": "results/experiment.yaml",
            "reproduce": "./reproduce",
            "expectedTime": duration(spent_s(results)),
            "expectedDisk": size(results.design.run_bytes * max(1, results.planned)),
        },
        "claims": [_claim(one) for one in found],
        "published": [
            {"source": one.source, "says": one.says, "claims": list(one.claims)}
            | ({"whyNot": one.why_not} if one.why_not else {})
            for one in results.design.published
        ],
    }


def _claim(one: ClaimResult) -> dict[str, Any]:
    claim = one.claim
    compared = {"against": dict(claim.against)} if claim.against else {}
    measured = (
        {"measured": {"value": one.measured.value, "low": one.measured.low, "high": one.measured.high}}
        if one.measured is not None
        else {}
    )
    return {
        "id": claim.identity,
        "claim": claim.text,
        "metric": claim.metric,
        "statistic": claim.statistic,
        "where": dict(claim.where),
        **compared,
        "relation": claim.relation,
        "bound": one.bound,
        "unit": one.unit or "ratio",
        "tolerance": claim.tolerance,
        "verdict": one.outcome.value,
        **measured,
        "words": one.words,
        "runs": one.verdict.value,
    }


def appendix(results: Results, found: Sequence[ClaimResult], disk: int) -> str:
    """The appendix draft; at most two pages as a rule."""
    machine = results.machine_facts
    hardware = ", ".join(
        str(text)
        for text in (
            machine.get("cpu_model"),
            f"{machine['cpus']} CPUs" if machine.get("cpus") else None,
            f"{machine['memory_mib']} MiB of memory" if machine.get("memory_mib") else None,
        )
        if text
    )
    programs = {**(results.versions.get("programs") or {}), "kernel": results.versions.get("kernel")}
    software = ", ".join(f"{name}: {version}" for name, version in programs.items() if version)
    claims = "\n".join(f"- **({one.claim.identity})** {one.claim.text} {_proof(one)}" for one in found)
    runs = f"{len(results.runs)} runs of {results.planned} planned, {int((results.runs['excluded'] == '').sum())} used"
    factors = "; ".join(
        f"{one.name} ({', '.join(level.name for level in one.levels)})" for one in results.design.factors
    )
    return f"""# Artifact appendix (draft)

## Abstract

The artifact holds the experiment *{results.design.name}* with everything that was measured ({runs}), the network that
it ran on, and two scripts: one repeats the experiment, one makes the figures again. Question: {results.design.question}

## Description and requirements

- **How to access:** deposit this archive where versions are kept (for example Zenodo) and state its DOI here.
- **Security, privacy, ethics:** nothing leaves the machine; the clusters run in namespaces of their own.
- **Hardware:** any machine with Linux. Measured on: {hardware or "not recorded"}.
- **Software:** {installation(results)} Measured with: {software or "see results/versions.json"}.
- **Data:** none besides this archive.

## Set-up

Human time: five minutes; see README.md. Basic test: `./figures` (under a minute), then `./reproduce --quick`.

## Evaluation

### Major claims

{claims or "The experiment states no claims."}

### Experiment (E1): {results.design.name}

*{duration(spent_s(results))} of machine time, one minute of human time, {size(disk)} of disk.*
Factors: {factors or "none"}. {results.design.repetitions} repetitions, order {results.design.order.value},
seed {results.design.seed}.

- **Run:** `./reproduce`. It goes on where it was interrupted; every run has a cluster of its own.
- **Compare:** its last lines say of each claim whether it is shown again (exit status 1: one is not).
  `reproduced/*/report.html` has tables and figures to set beside `results/report.html`. Values differ between
  machines; claims compare within one machine.
- **Validity:** every run carries a verdict. Invalid runs are left out and listed with the reason: a machine that is too
  small or busy shows there, not in wrong numbers.

### Messages that are no fault

- `suspect` beside a row: the machine was busy, or a link was not quite as declared; the reasons are in the report.
- `runs failed; they are tried once more`: a cluster did not come up in time; nothing is lost.

## Reuse

`results/experiment.yaml` is the whole experiment: change levels, links or workload there, or on the command line with
`kubinet run results/experiment.yaml --set FACTOR=LEVELS`. `results/runs.parquet` has every sample for other analyses.
"""


def _proof(one: ClaimResult) -> str:
    levels = levels_text(one.claim.where)
    if one.outcome is Outcome.NO_DATA:
        return f"No data on {levels}."
    return f"Tested by experiment (E1): {one.outcome.value}; {one.words}"
