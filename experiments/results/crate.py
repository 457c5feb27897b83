"""RO-Crate metadata: what a folder holds, and how it came (https://www.researchobject.org/ro-crate/specification/1.1/).

Written by hand: the document is a flat list of entities, and the rocrate package would bring a web client and a
template engine for it.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from experiments.results import layout
from experiments.results.loading import Results
from experiments.results.runs import RunRecord
from experiments.results.wording import levels_text
from kubinet.version import __version__

CONTEXT: Final = "https://w3id.org/ro/crate/1.1/context"
SPECIFICATION: Final = "https://w3id.org/ro/crate/1.1"
KUBINET: Final = "#kubinet"
_KINDS: Final = {
    ".csv": "text/csv",
    ".gz": "application/gzip",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_NAMES: Final = {
    layout.EXPERIMENT: "The experiment with every default; running it again gives the same design",
    layout.DESIGN: "Seed, order and every planned run",
    layout.SESSION: "When it was run and how it ended",
    layout.VERSIONS: "Versions of everything that a measurement passes through",
    layout.MACHINE: "The machine",
    layout.PARQUET: "Every sample, one a row, factors as columns",
    layout.TABLE: "Every sample, one a row, factors as columns",
    layout.SUMMARY: "Every statistic with its interval, effects and tests",
    layout.SUMMARY_DOCUMENT: "The summary with claims and excluded runs",
    layout.PAGE: "The report, one page without other files",
    layout.TEXT: "The report as Markdown",
}


def crate(results: Results, root: Path, *, prefix: str = "", licence: str, names: Mapping[str, str]) -> dict[str, Any]:
    """The metadata of folder `root`, in which the results stand under `prefix` (`results/` in a bundle).

    `licence`: a URL, or a file's name in `root`; `names`: what the other files at the top are.
    """
    top = sorted(path for path in root.iterdir() if path.is_file() and _is_kept(path))
    results_files = sorted(path for path in results.path.iterdir() if path.is_file() and _is_kept(path))
    files = {path.name: path for path in top} | {f"{prefix}{path.name}": path for path in results_files}
    figures = sorted((results.path / layout.FIGURES).glob("[!.]*"))
    files |= {f"{prefix}{layout.FIGURES}/{path.name}": path for path in figures}
    described = {f"{prefix}{name}": text for name, text in _NAMES.items()} | dict(names)
    parts = [_file(name, path, described.get(name, "")) for name, path in sorted(files.items())]
    runs = [(record, f"{prefix}{layout.RUNS}/{record.folder.name}/") for record in results.records]
    actions = [_action(record, folder, f"{prefix}{layout.EXPERIMENT}") for record, folder in runs]
    is_file = licence in files
    graph: list[dict[str, Any]] = [
        {
            "@id": layout.CRATE,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": SPECIFICATION},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": f"Results of the experiment {results.design.name}",
            "description": results.design.question,
            "datePublished": _time(published_s(results)),
            "license": {"@id": licence},
            "hasPart": [{"@id": one["@id"]} for one in parts] + [{"@id": folder} for _, folder in runs],
            "mentions": [{"@id": one["@id"]} for one in actions],
        },
        *parts,
        *(_run(record, folder) for record, folder in runs),
        *actions,
        {
            "@id": KUBINET,
            "@type": "SoftwareApplication",
            "name": "Kubinet",
            "softwareVersion": _version(results),
        },
    ]
    if not is_file:
        graph.append({"@id": licence, "@type": "CreativeWork", "name": licence.rpartition("/")[2]})
    return {"@context": CONTEXT, "@graph": graph}


def published_s(results: Results) -> float:
    """When the last run ended, seconds since 1970: the same folder has the same date."""
    return max((record.ended_s for record in results.records), default=0.0)


def _is_kept(path: Path) -> bool:
    return not path.name.startswith(".") and path.name != layout.CRATE


def _file(name: str, path: Path, text: str) -> dict[str, Any]:
    kind = _KINDS.get(path.suffix, "text/plain")
    entity: dict[str, Any] = {"@id": name, "@type": "File", "name": text or path.name, "encodingFormat": kind}
    return entity | {"contentSize": str(path.stat().st_size)}


def _run(record: RunRecord, folder: str) -> dict[str, Any]:
    levels = levels_text(record.planned.levels)
    return {
        "@id": folder,
        "@type": "Dataset",
        "name": f"Run {record.planned.index}: {levels}, repetition {record.planned.repetition}",
        "description": f"{record.state}, verdict {record.assessment.verdict.value}"
        + (f": {'; '.join(record.assessment.reasons)}" if record.assessment.reasons else ""),
        "variableMeasured": list(_variables(record)),
    }


def _variables(record: RunRecord) -> Iterator[str]:
    yield from (f"{name}={level}" for name, level in record.planned.levels.items())
    yield f"seed={record.planned.seed}"


def _action(record: RunRecord, folder: str, experiment: str) -> dict[str, Any]:
    status = "Completed" if record.state == "complete" else "Failed"
    action: dict[str, Any] = {
        "@id": f"#run-{record.planned.index}",
        "@type": "CreateAction",
        "name": f"Run {record.planned.index}",
        "instrument": {"@id": KUBINET},
        "object": {"@id": experiment},
        "result": {"@id": folder},
        "startTime": _time(record.started_s),
        "endTime": _time(record.ended_s),
        "actionStatus": f"http://schema.org/{status}ActionStatus",
    }
    return action | ({"error": record.error} if record.error else {})


def _version(results: Results) -> str:
    version = str(results.versions.get("kubinet", __version__))
    git = results.versions.get("git") or {}
    commit = git.get("commit") if isinstance(git, Mapping) else None
    return f"{version} (commit {commit})" if commit else version


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
