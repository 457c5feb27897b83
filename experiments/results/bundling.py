"""An archive for artifact evaluation: results, claims, scripts, appendix, licence."""

import gzip
import io
import json
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

import yaml

from experiments.results import layout
from experiments.results.appendix import appendix, claims_document
from experiments.results.claims import evaluate
from experiments.results.crate import crate, published_s
from experiments.results.installing import readme
from experiments.results.loading import Results
from experiments.results.scripts import TOPOLOGY, figures_script, has_topology_file, reproduce_script
from kubinet.errors import KubinetError, UsageError

LICENSE: Final = "LICENSE"
_SCRIPTS: Final = frozenset({"reproduce", "figures"})
_NAMES: Final = {
    "README.md": "What an evaluator reads first",
    LICENSE: "Under which terms this may be used",
    "appendix.md": "Draft of the artifact appendix",
    "claims.yml": "Claims with tolerance and verdict",
    "figures": "Script: makes the figures again from the results",
    "reproduce": "Script: runs the experiment again and compares",
    TOPOLOGY: "The network that it ran on",
}


def bundle(results: Results, output: Path | None = None, *, licence: Path | None = None) -> Path:
    """Write the archive (default: beside the results folder, `<its name>.tar.gz`) and return where it is.

    The same folder gives the same bytes. `licence`: a text of your own; otherwise Kubinet's.
    """
    name = results.path.resolve().name
    target = output or results.path.resolve().parent / f"{name}.tar.gz"
    if not target.name.endswith((".tar.gz", ".tgz")):
        raise UsageError(f"{target}: the archive is gzip'ed tar; name a file that ends with .tar.gz")
    if results.path.resolve() in target.resolve().parents:
        raise UsageError(f"{target}: the archive cannot be inside the folder that it holds; name another with -o")
    members = {f"results/{path}": content for path, content in _measured(results.path)}
    members |= _texts(results, licence, sum(map(len, members.values())))
    members[layout.CRATE] = _crate(results, members)
    _write(target, name, members, int(published_s(results)))
    return target


def _measured(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            yield relative.as_posix(), path.read_bytes()


def _texts(results: Results, licence: Path | None, measured: int) -> dict[str, bytes]:
    found = evaluate(results)
    claims = yaml.safe_dump(claims_document(results, found), sort_keys=False, allow_unicode=True, width=100)
    texts = {
        "README.md": readme(results, measured),
        LICENSE: licence_text() if licence is None else licence.read_text(encoding="utf-8"),
        "appendix.md": appendix(results, found, measured),
        "claims.yml": claims,
        "figures": figures_script(),
        "reproduce": reproduce_script(results),
    }
    if has_topology_file(results):
        texts[TOPOLOGY] = results.design.topology.source
    return {name: text.encode() for name, text in texts.items()}


def licence_text() -> str:
    """The text of Kubinet's licence; KubinetError where the installation has none."""
    checkout = Path(__file__).resolve().parents[2] / LICENSE
    if checkout.is_file():
        return checkout.read_text(encoding="utf-8")
    for file in metadata.files("kubinet") or ():
        if file.name == LICENSE:
            return file.read_text(encoding="utf-8")
    raise KubinetError("this installation of Kubinet has no licence text; name one with --license FILE")


def _crate(results: Results, members: Mapping[str, bytes]) -> bytes:
    # The metadata say what files there are and how large: those at the archive's top are laid out for it.
    with tempfile.TemporaryDirectory() as place:
        for name in _NAMES.keys() & members.keys():
            Path(place, name).write_bytes(members[name])
        document = crate(results, Path(place), prefix="results/", licence=LICENSE, names=_NAMES)
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _write(target: Path, name: str, members: Mapping[str, bytes], seconds: int) -> None:
    """One folder with everything, sorted, as of one moment, owned by nobody."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in sorted(members.items()):
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size, entry.mtime = len(content), seconds
            entry.mode = 0o755 if path in _SCRIPTS else 0o644
            archive.addfile(entry, io.BytesIO(content))
    temporary = target.with_name(f".{target.name}.new")
    with temporary.open("wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as compressed:
        compressed.write(packed.getbuffer())
    temporary.replace(target)
