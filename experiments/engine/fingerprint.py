"""Which Kubinet this is, to the last line: runs of one results folder must come from the same program."""

import hashlib
from pathlib import Path
from typing import Final

import kubinet

_PACKAGES: Final = ("agents", "controller", "experiments", "kubinet", "topologies")


def fingerprint() -> str:
    """Twelve hexadecimal digits over the names and contents of Kubinet's files, also data and programs.

    The version number alone does not change from one commit to the next.
    """
    root = Path(kubinet.__file__).parent.parent
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if "__pycache__" in path.parts or path.suffix == ".pyc" or not path.is_file():
                continue
            data = path.read_bytes()
            digest.update(f"{path.relative_to(root)} {len(data)}\n".encode())
            digest.update(data)
    return digest.hexdigest()[:12]
