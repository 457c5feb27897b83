"""The layer of folders that an ordinary user's containers may write in."""

from pathlib import Path

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
