"""Names in a results folder, and the small documents in it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kubinet.errors import InvalidInputError

EXPERIMENT: Final = "experiment.yaml"
DESIGN: Final = "design.json"
SESSION: Final = "session.json"
VERSIONS: Final = "versions.json"
MACHINE: Final = "machine.json"
CHANGES: Final = "git.diff"
"""How the checkout differed from the commit of `VERSIONS`; only where it did."""
RUNS: Final = "runs"
"""The folder with a folder for each run."""
RUN: Final = "run.json"
SAMPLES: Final = "samples.csv"
EVENTS: Final = "events.csv"
SECONDS: Final = "machine.csv"
LINKS: Final = "links.json"
TOPOLOGY: Final = "topology.yaml"
FIGURES: Final = "figures"
PARQUET: Final = "runs.parquet"
TABLE: Final = "runs.csv"
SUMMARY: Final = "summary.csv"
SUMMARY_DOCUMENT: Final = "summary.json"
PAGE: Final = "report.html"
TEXT: Final = "report.md"
CRATE: Final = "ro-crate-metadata.json"
README: Final = "README.md"


def read_document(path: Path) -> Mapping[str, Any]:
    """A JSON object; empty where there is no such file, InvalidInputError where it is something else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InvalidInputError(f"{path}: not JSON ({error}); was it edited? Restore it from a copy") from error
    if not isinstance(document, dict):
        raise InvalidInputError(f"{path}: a JSON object was expected, not {type(document).__name__}")
    return document


def read_list(path: Path) -> list[Any]:
    """A JSON array; empty where there is no such file, InvalidInputError where it is something else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise InvalidInputError(f"{path}: not JSON ({error}); was it edited? Restore it from a copy") from error
    if not isinstance(document, list):
        raise InvalidInputError(f"{path}: a JSON array was expected, not {type(document).__name__}")
    return document
