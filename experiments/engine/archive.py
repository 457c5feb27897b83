"""A run's folder on its way from one machine to another: an archive that appears whole or not at all."""

import io
import shutil
import zipfile
from pathlib import Path

from experiments.engine.run import RunOutcome, outcome_of
from kubinet.errors import InvalidInputError, KubinetError


def pack(folder: Path) -> bytes:
    """A folder's files as a zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, str(path.relative_to(folder)))
    return stream.getvalue()


def unpack(archive: bytes, folder: Path) -> RunOutcome:
    """Put an archive's files at `folder`, which appears whole or not at all; returns what its run.json says."""
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            opened.extractall(new)
    except zipfile.BadZipFile as error:
        raise KubinetError(f"run folder {folder}: the worker's archive cannot be read: {error}") from error
    if folder.exists():
        folder.rmdir()
    new.rename(folder)
    outcome = outcome_of(folder)
    if outcome is None:
        raise InvalidInputError(f"run folder {folder}: the worker sent no run.json")
    return outcome
