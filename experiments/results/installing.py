"""What an evaluator types before a bundle's scripts: the read-me, and how to install what the results were made with.

Pure, but for the plug-ins: which of them are Kubinet's is what this installation says.
"""

from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

from experiments.plugins import MEASUREMENTS, WORKLOADS
from experiments.results import layout
from experiments.results.loading import Results
from experiments.results.scripts import NOT_RUN, TOPOLOGY, has_topology_file, spent_s
from experiments.results.wording import duration, size

_OWN = "experiments"
"""The package of Kubinet's own plug-ins."""


def readme(results: Results, disk: int) -> str:
    """What an evaluator reads first."""
    name = results.design.name
    topology = f"| `{TOPOLOGY}` | the network that it ran on |\n" if has_topology_file(results) else ""
    return f"""# Artifact of the experiment {name}

{results.design.question}

| | |
| --- | --- |
| `appendix.md` | the artifact appendix, a draft of two pages at most |
| `claims.yml` | every claim: experiment, tolerance, verdict on the data in `results/` |
| `reproduce` | one script: runs the experiment again, compares claims and values ({duration(spent_s(results))}) |
| `figures` | one script: makes every figure and table again from `results/` (under a minute) |
| `results/` | everything that was measured; `results/report.html` shows it, `results/README.md` lists it |
{topology}| `ro-crate-metadata.json` | the same list for machines (RO-Crate 1.1) |
| `LICENSE` | under which terms all of this may be used |

## 1. Install Kubinet

The results are of Kubinet, {_version(results)}.

It needs Linux; `make env` installs the Debian packages that are missing, which takes root, or names them. Running needs
no root. In this folder:

{_block(_commands(results))}

`doctor` says what this machine lacks, and what each lack means.{_foreign_text(results)}

## 2. See that it works (five minutes)

    ./figures
    ./reproduce --quick

## 3. Run the experiment again ({duration(spent_s(results))})

    ./reproduce

{_ending(results)}

All scripts may be run twice. Disk: {size(disk)} unpacked, the same again for `reproduced/`.
"""


def _ending(results: Results) -> str:
    """What a reproduction says in the end."""
    shown = (
        "its last lines say of each claim whether it is shown again. Exit status: 0 every claim\nthat `results/` "
        f"shows is shown again, 1 one is not, {NOT_RUN} something is missing or a run failed."
        if results.design.claims
        else "the experiment states no claims: compare the tables. Exit status:\n0 it ran, "
        f"{NOT_RUN} something is missing or a run failed."
    )
    return f"Results are in `reproduced/`; {shown} After an interruption the\nsame command goes on."


def installation(results: Results) -> str:
    """In one sentence or two, for the appendix."""
    return (
        f"Kubinet, {_version(results)}: README.md has the commands. It needs Linux with Open vSwitch; root is not "
        f"needed. `kubinet doctor` says what a machine lacks.{_foreign_text(results)}"
    )


def _version(results: Results) -> str:
    git = _git(results)
    version = f"version {results.versions.get('kubinet', 'of the same time')}"
    which = f"commit `{git['commit']}` ({version})" if git.get("commit") else version
    if not git.get("dirty"):
        return which
    return f"{which}, with the changes of `results/git.diff`" if _changes(results) else f"{which}, with files changed"


def _commands(results: Results) -> Iterator[str]:
    commit = _git(results).get("commit")
    yield "git clone URL kubinet        # URL: where the authors of this artifact, or Kubinet's, publish it"
    if commit:
        yield f"git -C kubinet checkout {commit}"
    if _changes(results):
        yield 'git -C kubinet apply "$PWD/results/git.diff"'
    yield "make -C kubinet env"
    yield 'export KUBINET="$PWD/kubinet/bin/kubinet"'
    yield '"$KUBINET" doctor'


def _block(commands: Iterator[str]) -> str:
    return "\n".join(f"    {one}" for one in commands)


def _git(results: Results) -> Mapping[str, Any]:
    git = results.versions.get("git")
    return git if isinstance(git, Mapping) else {}


def _changes(results: Results) -> bool:
    return (results.path / layout.CHANGES).is_file()


def _foreign_text(results: Results) -> str:
    found = sorted(set(_foreign(results)))
    if not found:
        return ""
    names = ", ".join(f"`{kind}`" for kind in found)
    return (
        f"\nThe experiment uses plug-ins that are not Kubinet's: {names}. Install the packages that they are part of "
        "into Kubinet's environment, or put their modules' folder into `PYTHONPATH`."
    )


def _foreign(results: Results) -> Iterator[str]:
    """The kinds of plug-ins that do not come with Kubinet."""
    design = results.design
    used = [(WORKLOADS, one.kind) for one in design.workload] + [
        (MEASUREMENTS, one.kind) for one in design.measurements
    ]
    for group, kind in used:
        modules = [kind] if ":" in kind else [point.value for point in entry_points(group=group, name=kind)]
        if not any(module.partition(":")[0].partition(".")[0] == _OWN for module in modules):
            yield kind
