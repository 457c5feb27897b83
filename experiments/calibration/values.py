"""A calibration as values, and its file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from kubinet.errors import InvalidInputError

FORMAT: Final = 1
NAME: Final = "calibration.json"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a calibration depends on."""

    cpu_model: str
    cpus: int
    """Those that this program may use."""
    memory_mib: int
    kernel: str
    datapath: str
    """Open vSwitch's datapath: `system`, `netdev`, `afxdp`."""
    wire: str
    """What carries links with delay: `netem` or `wirefilter`."""

    def differences(self, other: "Fingerprint") -> tuple[str, ...]:
        """What is not the same here, in words."""
        mine, theirs = asdict(self), asdict(other)
        return tuple(f"{name} {mine[name]} instead of {theirs[name]}" for name in mine if mine[name] != theirs[name])


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much of one thing the machine emulates honestly."""

    name: str
    """`rate`, `packets`, `nodes`, `delayed links`."""
    unit: str
    value: float
    """The highest level at which every measurement was right and the verdict valid; 0: none."""
    failed: float | None
    """The lowest level that failed; None: all levels held."""
    reason: str
    """Why that level failed; else why no higher one was tried."""
    meaning: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was found on one machine."""

    fingerprint: Fingerprint
    date: str
    """UTC, ISO 8601."""
    quick: bool
    seconds: float
    """How long it took."""
    load: float
    """Load average of the last minute before it started."""
    capacities: tuple[Capacity, ...]

    def capacity(self, name: str) -> Capacity | None:
        """The capacity of that name; None where it was not measured."""
        return next((one for one in self.capacities if one.name == name), None)


def to_document(calibration: Calibration) -> dict[str, Any]:
    """As the file and `-o json` show it."""
    return {"format": FORMAT, **asdict(calibration)}


def from_document(document: Mapping[str, Any], where: str) -> Calibration:
    """Read what `to_document` wrote; InvalidInputError naming `where` for anything else."""
    try:
        if document["format"] != FORMAT:
            raise InvalidInputError(
                f"{where}: format {document['format']}, this version reads {FORMAT}; run `kubinet calibrate` again"
            )
        return Calibration(
            fingerprint=Fingerprint(**document["fingerprint"]),
            date=document["date"],
            quick=document["quick"],
            seconds=document["seconds"],
            load=document["load"],
            capacities=tuple(Capacity(**one) for one in document["capacities"]),
        )
    except (KeyError, TypeError) as error:
        raise InvalidInputError(f"{where}: no calibration ({error!r}); run `kubinet calibrate` again") from error


def load(folder: Path) -> Calibration | None:
    """The calibration in the state folder; None where there is none, InvalidInputError for a file that is broken."""
    path = folder / NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidInputError(f"{path}: {error}; run `kubinet calibrate` again") from error
    return from_document(document, str(path))


def save(folder: Path, calibration: Calibration) -> Path:
    """Put the file in place at once."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(to_document(calibration), indent=2) + "\n", encoding="utf-8")
    draft.replace(path)
    return path
