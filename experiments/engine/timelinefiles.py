"""The files that an experiment's timeline names, read at once: a results folder repeats its experiment without them."""

from pathlib import Path

from experiments.design.model import ExperimentDesign, PlannedRun
from experiments.design.plan import combinations
from experiments.design.specify import specify
from experiments.timeline.language import parse_event
from experiments.timeline.validate import file_of
from kubinet.errors import InvalidInputError
from kubinet.manifests import parse_manifests


def timeline_files(design: ExperimentDesign, folder: Path) -> dict[str, str]:
    """Name to text of every file that some combination of levels names; the design is checked already.

    InvalidInputError for one that is no UTF-8 text or no YAML.
    """
    found = dict(design.files)
    for index, levels in enumerate(combinations(design)):
        for line in specify(design, PlannedRun(index, 0, levels, design.seed)).timeline:
            name = file_of(parse_event(line).action)
            if name is not None and name not in found:
                found[name] = _read(folder / name, name)
    return found


def _read(path: Path, name: str) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"timeline: {path}: cannot be read: {error}; name a YAML file") from error
    parse_manifests(text, name)
    return text
