"""Folders of results, and whole files in them, put in place by a rename: whoever reads sees all of one or nothing."""

import json
import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from experiments.options import option
from kubinet.errors import KubinetError


def new_folder(
    parent: Path, experiment: str, parts: Sequence[str] = ("raw", "manifests", "figures"), now: datetime | None = None
) -> Path:
    """Make `<experiment>-<UTC time>-<short id>` under `parent`, with folders; KubinetError when that is impossible."""
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    path = parent / f"{experiment}-{stamp}-{secrets.token_hex(2)}"
    try:
        for part in parts:
            (path / part).mkdir(parents=True)
    except OSError as error:
        raise KubinetError(
            f"results folder {path}: {error.strerror}; name another with {option('--output-dir')}"
        ) from error
    return path


def write_bytes(path: Path, content: bytes) -> None:
    """Put a whole file in place at once; it is on the disk when the call returns."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    """Put a whole text file in place at once."""
    write_bytes(path, text.encode())


def write_json(path: Path, document: object) -> None:
    """Put a JSON file in place at once; keys stay in the order given."""
    write_text(path, json.dumps(document, indent=2, default=str, allow_nan=False) + "\n")
