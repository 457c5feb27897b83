"""The machine's folders once more, owned by the cluster's user: what lets an ordinary user's containers write there.

In a user namespace the machine's root is nobody, so an overlay over its folders would be read-only but for the topmost
one. A merged folder has the owner and mode of its uppermost layer (the kernel's overlayfs.rst, "Directories"), so a
layer of empty folders above the machine's makes them the container's root's. Files stay nobody's: they can be replaced,
not changed in place. So do folders that the user may not enter: the kernel would not merge them for the user either.
"""

import contextlib
import os
import stat
from collections.abc import Collection, Set
from pathlib import Path
from typing import Final

DEPTHS: Final = {"etc": None, "usr": 2, "var": None, "usr/local": None}
"""Folder of the machine -> how many levels below it are copied, None for all. What an administrator may write (FHS 3.0:
/usr but for /usr/local is for reading), and of /usr what is needed to put something there."""


def needed() -> bool:
    """Are the machine's folders somebody's whom this user namespace does not know?"""
    return Path("/usr").stat().st_uid != 0


def make(target: Path, names: Collection[str], machine: Path = Path("/"), mounts: Set[Path] = frozenset()) -> None:
    """Below `target`, empty folders with the names and modes of those below `machine` that this user may enter.

    `names`: the top-level folders to copy, of those in `DEPTHS`. Folders in `mounts` are not looked into: an overlay
    does not show what is mounted there, and a server that does not answer would hold us up.
    """
    closed = mounts - {machine / name for name in names}
    for top, depth in DEPTHS.items():
        if top.split("/", 1)[0] in names:
            _copy(machine / top, target / top, depth, closed)


def _copy(source: Path, target: Path, depth: int | None, mounts: Set[Path]) -> None:
    """No errors: the machine's folders come and go meanwhile, and one that is not copied is only not written in."""
    with contextlib.suppress(OSError):
        if source in mounts:
            target.mkdir(exist_ok=True)
            return
        mode = source.lstat().st_mode
        if not stat.S_ISDIR(mode):
            return
        target.mkdir(parents=True, exist_ok=True)
        target.chmod(stat.S_IMODE(mode))
        if depth == 0:
            return
        with os.scandir(source) as entries:
            folders = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
        for folder in folders:
            if folder in mounts or os.access(folder, os.R_OK | os.X_OK):
                _copy(folder, target / folder.name, None if depth is None else depth - 1, mounts)
