"""The texts of a bundle: read-me, appendix draft, scripts. Pure.

Sections as ACM's and USENIX' artifact evaluations ask for them: needs, major claims each linked to an experiment, how
to compare; expected human and machine time, disk, and messages that are no fault.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.results.claims import ClaimResult, Outcome
from experiments.results.loading import Results
from experiments.results.wording import duration, levels_text, size


def spent_s(results: Results) -> float:
    """Machine time of all runs, seconds."""
    return float(results.runs["seconds"].sum()) if len(results.runs) else 0.0


def reproduce_script(results: Results) -> str:
    """Runs the experiment again and compares; POSIX shell."""
    name = results.design.name
    return f"""#!/bin/sh
# Runs the experiment '{name}' again, makes its report and compares claims and values with results/.
# Safe to run twice: what is there is kept, what was interrupted goes on. Time: about {duration(spent_s(results))}.
# Arguments go to `kubinet run`; `./reproduce --quick` shows in a minute or so that everything works.
set -eu
cd "$(dirname "$0")"
KUBINET=${{KUBINET:-kubinet}}
if ! command -v "$KUBINET" >/dev/null 2>&1; then
    echo "kubinet is not on PATH: install it as README.md says, or name it: KUBINET=.../bin/kubinet ./reproduce" >&2
    exit 1
fi
mkdir -p reproduced
folder=
for one in reproduced/{name}-*/; do
    if [ -f "$one/session.json" ]; then folder=${{one%/}}; fi
done
if [ -z "$folder" ]; then
    "$KUBINET" run {_what_to_run(results)} --output-dir reproduced "$@"
    for one in reproduced/{name}-*/; do folder=${{one%/}}; done
elif ! grep -q '"state": "complete"' "$folder/session.json"; then
    "$KUBINET" run --resume "$folder"
fi
"$KUBINET" report "$folder" --open-nothing
echo
echo "Values, results/ first (another machine has other values; the claims are what counts):"
"$KUBINET" compare results "$folder" || true
echo
echo "Claims:"
"$KUBINET" compare results "$folder" --claims
"""


def _what_to_run(results: Results) -> str:
    """The experiment's file; of an experiment written in Python its name, with what was set."""
    if not results.plan.get("implementation"):
        return "results/experiment.yaml"
    design = results.design
    words = [design.name, "--seed", str(design.seed), "--repetitions", str(design.repetitions)]
    if "\n" not in design.topology.source:
        words += ["--topology", design.topology.source]
        words += ["--nodes", str(design.topology.nodes)] if design.topology.nodes is not None else []
    for name, value in design.parameters.items():
        words += ["-p", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
    return shlex.join(words)


def figures_script() -> str:
    """Makes every figure from the results alone; POSIX shell."""
    return """#!/bin/sh
# Makes every figure, table and the report of results/ again from its samples, without measuring: under a minute.
# Safe to run twice; the same samples give the same files.
set -eu
cd "$(dirname "$0")"
KUBINET=${KUBINET:-kubinet}
if ! command -v "$KUBINET" >/dev/null 2>&1; then
    echo "kubinet is not on PATH: install it as README.md says, or name it: KUBINET=.../bin/kubinet ./figures" >&2
    exit 1
fi
"$KUBINET" report results --open-nothing
"""


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


def readme(results: Results, disk: int) -> str:
    """What an evaluator reads first."""
    return f"""# Artifact of the experiment {results.design.name}

{results.design.question}

| | |
| --- | --- |
| `appendix.md` | the artifact appendix, a draft of two pages at most |
| `claims.yml` | every claim: experiment, tolerance, verdict on the data in `results/` |
| `reproduce` | one script: runs the experiment again, compares claims and values ({duration(spent_s(results))}) |
| `figures` | one script: makes every figure and table again from `results/` (under a minute) |
| `results/` | everything that was measured; `results/report.html` shows it, `results/README.md` lists it |
| `ro-crate-metadata.json` | the same list for machines (RO-Crate 1.1) |
| `LICENSE` | under which terms all of this may be used |

## Install

{_install(results)}

## Five minutes

    ./figures
    ./reproduce --quick

Both scripts may be run twice. Disk: {size(disk)} unpacked, the same again for `reproduced/`. Human time: five minutes.
"""


def _install(results: Results) -> str:
    git = results.versions.get("git") or {}
    commit = git.get("commit") if isinstance(git, Mapping) else None
    which = f"commit `{commit}`" if commit else f"version {results.versions.get('kubinet', 'of the same time')}"
    changed = " (its files differed from that commit)" if isinstance(git, Mapping) and git.get("dirty") else ""
    return (
        f"Kubinet, {which}{changed}: clone it, `make env`, then `export KUBINET=.../bin/kubinet`, where `...` is the "
        "clone. It needs Linux with Open vSwitch; root is not needed. `kubinet doctor` says what a machine lacks."
    )


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
- **Software:** {_install(results)} Measured with: {software or "see results/versions.json"}.
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
- **Compare:** its last lines say of each claim whether it is shown again. `reproduced/*/report.html` has tables and
  figures to set beside `results/report.html`. Values differ between machines; claims compare within one machine.
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
