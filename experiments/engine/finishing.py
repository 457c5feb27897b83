"""What a session leaves: its results folder, and what the folder's report says."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.results.reporting import Report


@dataclass(frozen=True, slots=True)
class Finished:
    """What a session left."""

    directory: Path
    state: str
    """`complete`, `failed` or `stopped`."""
    why: str
    wanted: bool
    """Whether that is a success."""
    report: "Report | None"
    """None where no run is complete and valid."""
