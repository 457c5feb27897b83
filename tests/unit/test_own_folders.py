"""The layer of folders that an ordinary user's containers may write in."""

import os
from pathlib import Path

import pytest

from agents.runtime import ownfolders


def test_folders_are_copied_as_deep_as_containers_write(tmp_path: Path) -> None:
    """All folders of /etc, /var and /usr/local, two levels of the rest of /usr; modes are kept; no files, no links."""
    machine, target = tmp_path / "machine", tmp_path / "target"
    for path in ("etc/ssl/certs", "usr/lib/python3/dist-packages", "usr/local/share/fonts/x", "var/tmp", "opt/a"):
        (machine / path).mkdir(parents=True)
    (machine / "var/tmp").chmod(0o1777)
    (machine / "etc/passwd").touch()
    (machine / "etc/link").symlink_to("ssl")
    ownfolders.make(target, ("etc", "usr", "var"), machine)
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*")) == [
        "etc", "etc/ssl", "etc/ssl/certs",
        "usr", "usr/lib", "usr/lib/python3",
        "usr/local", "usr/local/share", "usr/local/share/fonts", "usr/local/share/fonts/x",
        "var", "var/tmp",
    ]  # fmt: skip
    assert (target / "var/tmp").stat().st_mode & 0o7777 == 0o1777


def test_only_the_folders_that_containers_see_as_their_own(tmp_path: Path) -> None:
    """A top-level folder that is no overlay gets none."""
    (tmp_path / "machine/etc").mkdir(parents=True)
    (tmp_path / "machine/usr/local/bin").mkdir(parents=True)
    ownfolders.make(tmp_path / "target", ("etc",), tmp_path / "machine")
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["etc"]


def _entered_by_all(path: str, _: int) -> bool:
    return Path(path).stat().st_mode & 0o005 == 0o005


def test_links_mounts_and_closed_folders_are_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link at /usr/local stays one; a mount point is an empty folder; what the user may not enter is left out."""
    monkeypatch.setattr(os, "access", _entered_by_all)  # as of a user to whom none of it belongs
    machine, target = tmp_path / "machine", tmp_path / "target"
    for path in ("usr/share", "opt/local/bin", "var/nfs/a", "var/lib/open", "var/lib/private/a"):
        (machine / path).mkdir(parents=True)
    (machine / "usr/local").symlink_to("../opt/local")
    (machine / "var/lib/private").chmod(0o700)
    ownfolders.make(target, ("usr", "var"), machine, mounts={machine / "var", machine / "var/nfs"})
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*")) == [
        "usr", "usr/share", "var", "var/lib", "var/lib/open", "var/nfs",
    ]  # fmt: skip


def test_folders_that_vanish_meanwhile_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine lives on while its folders are read."""
    for path in ("a", "b", "c"):
        (tmp_path / "machine/etc" / path).mkdir(parents=True)

    def vanishing(path: str, _: int) -> bool:
        if Path(path).name == "b":
            Path(path).rmdir()
        return True

    monkeypatch.setattr(os, "access", vanishing)
    ownfolders.make(tmp_path / "target", ("etc",), tmp_path / "machine")
    assert sorted(path.name for path in (tmp_path / "target/etc").iterdir()) == ["a", "c"]
