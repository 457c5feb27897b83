"""The two scripts of a bundle, POSIX shell. Pure."""

import shlex
from typing import Final

from experiments.results.loading import Results
from experiments.results.wording import duration

TOPOLOGY: Final = "topology.yaml"
"""In the archive, where an experiment written in Python ran on a network of a file."""
NOT_RUN: Final = 2
"""Exit status of both scripts where something is missing or a run failed; 1 says that a claim is not shown again."""


def spent_s(results: Results) -> float:
    """Machine time of all runs, seconds."""
    return float(results.runs["seconds"].sum()) if len(results.runs) else 0.0


def reproduce_script(results: Results) -> str:
    """Runs the experiment again and compares."""
    name = results.design.name
    about = "every claim that results/ shows is shown again" if results.design.claims else "it ran"
    return f"""#!/bin/sh
# Runs the experiment '{name}' again, makes its report and compares values and claims with results/.
# Time: about {duration(spent_s(results))}. Arguments go to `kubinet run`: `./reproduce --quick` shows in a minute or so
# that everything works. Without arguments results are in reproduced/, with some in a folder of their own beside it.
# The same command again keeps what is there; what was interrupted or failed goes on.
# Exit status: 0 {about} (--quick: it ran, which settles no claim),
# 1 a claim is not shown again, {NOT_RUN} something is missing or a run failed, 130 ctrl-C.
{_head("reproduce")}
trap 'exit 130' INT
words=$(printf %s "$*" | tr -cs 'A-Za-z0-9=.,' -)
words=${{words#-}}
place=reproduced${{words:+-${{words%-}}}}
folder=
latest() {{
    for one in "$place"/*/; do
        if [ -f "$one/session.json" ]; then folder=${{one%/}}; fi
    done
}}
ended() {{ [ -n "$folder" ] && grep -Eq '"state": "(complete|stopped)"' "$folder/session.json"; }}
quick=
case " $* " in *" --quick "*) quick=yes ;; esac
again="./reproduce${{*:+ $*}}"
# What was interrupted goes on as it was begun, and where: side by side, or on these workers.
spread=
valued=
for word; do
    case $word in
    --jobs | --workers) valued=yes spread="$spread $word" ;;
    --jobs=* | --workers=*) valued= spread="$spread $word" ;;
    *) [ -z "$valued" ] || spread="$spread $word"; valued= ;;
    esac
done
mkdir -p "$place"
latest
if [ -z "$folder" ]; then
{_running(results)}
    "$program" run "$@" --output-dir "$place" || true
    latest
elif ! ended; then
    # shellcheck disable=SC2086 - words without spaces, each an argument
    "$program" run --resume "$folder" $spread || true
fi
if ! ended; then
    echo "The experiment did not end; the lines above say why. Then \\`$again\\` goes on where it is." >&2
    exit {NOT_RUN}
fi
"$program" report "$folder" --open-nothing || exit {NOT_RUN}
if [ -n "$quick" ]; then
    echo
    echo "It works. Runs this short settle no claim and compare with nothing; \\`./reproduce\\` does both."
    exit 0
fi
echo
echo "Values, results/ first (another machine has other values; the claims are what counts):"
"$program" compare results "$folder" || true
{_CLAIMS if results.design.claims else ""}"""


_CLAIMS: Final = """echo
echo "Claims:"
"$program" compare results "$folder" --claims
"""


def figures_script() -> str:
    """Makes every figure from the results alone."""
    return f"""#!/bin/sh
# Makes every figure, table and the report of results/ again from its samples, without measuring: under a minute.
# Safe to run twice; the same samples give the same files.
{_head("figures")}
"$program" report results --open-nothing
"""


def _head(script: str) -> str:
    """Find `kubinet`, wherever the script is called from, and go into the archive's folder."""
    return f"""set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
if ! program=$(command -v "${{KUBINET:-kubinet}}"); then
    echo "kubinet is not on PATH: install it as README.md says, or name it: KUBINET=.../bin/kubinet ./{script}" >&2
    exit {NOT_RUN}
fi
case $program in /*) ;; *) program=$PWD/$program ;; esac
cd "$here\""""


def _running(results: Results) -> str:
    """What `kubinet run` gets before the evaluator's own arguments."""
    whole, quick = (shlex.join(_words(results, quick=quick)) for quick in (False, True))
    if whole == quick:
        return f'    set -- {whole} "$@"'
    return f"""    if [ -n "$quick" ]; then
        set -- {quick} "$@"
    else
        set -- {whole} "$@"
    fi"""


def _words(results: Results, *, quick: bool) -> list[str]:
    """The experiment's file; of an experiment written in Python its name, with what was set.

    What is set wins over what `--quick` would, so a quick run leaves out what that shortens.
    """
    if not results.plan.get("implementation"):
        return ["results/experiment.yaml"]
    design = results.design
    words = [design.name, "--seed", str(design.seed)]
    words += [] if quick else ["--repetitions", str(design.repetitions)]
    if has_topology_file(results):
        words += ["--topology", TOPOLOGY]
    else:
        words += ["--topology", design.topology.source]
        words += ["--nodes", str(design.topology.nodes)] if design.topology.nodes is not None else []
    for factor in design.factors:
        for path in factor.levels[0].sets:
            words += ["--set", f"{path}={factor.levels[0].name}"]
    for name, value in design.parameters.items():
        known = design.declared.get(name)
        if not (quick and known is not None and known.quick is not None):
            words += ["-p", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
    return words


def has_topology_file(results: Results) -> bool:
    """Whether the archive has a Topology file of its own: experiments in files have theirs inside."""
    return bool(results.plan.get("implementation")) and "\n" in results.design.topology.source
