"""The user's image table while a cluster runs."""

import os
from pathlib import Path

import pytest

from kubinet.errors import InvalidInputError
from kubinet.images import UnknownImageError
from kubinet.liveimages import LiveTable

ENTRY = "example.com/own: {{about: ours, entrypoint: [{program}]}}\n"


def _write(file: Path, text: str) -> None:
    """As an editor does: a new file in the place of the old one."""
    draft = file.with_suffix(".new")
    draft.write_text(text)
    draft.replace(file)


def test_an_added_image_is_known_at_once(tmp_path: Path) -> None:
    """Adding the file, changing it, changing it in place and removing it take effect at the next use."""
    file = tmp_path / "images.yaml"
    table = LiveTable(file)
    with pytest.raises(UnknownImageError, match=r"'example\.com/own' is not in the image table"):
        table.resolve("example.com/own")
    _write(file, ENTRY.format(program="cat"))
    assert table.resolve("example.com/own").argv == ("cat",)
    _write(file, ENTRY.format(program="sleep"))
    assert table.resolve("example.com/own").argv == ("sleep",)
    file.write_text(ENTRY.format(program="tac"))
    os.utime(file, ns=(1, 1))
    assert table.resolve("example.com/own").argv == ("tac",)
    file.unlink()
    with pytest.raises(UnknownImageError):
        table.resolve("example.com/own")
    assert table.resolve("registry.k8s.io/pause:3.10").argv


def test_a_broken_file_leaves_the_table_as_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Known images still start; an unknown one is told with the file's error; the log says it once."""
    file = tmp_path / "images.yaml"
    _write(file, ENTRY.format(program="cat"))
    table = LiveTable(file)
    _write(file, "a: [")
    assert table.resolve("example.com/own").argv == ("cat",)
    with pytest.raises(UnknownImageError, match=r"not in use: .*images\.yaml"):
        table.resolve("example.com/new")
    assert len(caplog.records) == 1
    _write(file, ENTRY.format(program="cat").replace("own", "new"))
    assert table.resolve("example.com/new").argv == ("cat",)


def test_a_broken_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    """A cluster does not begin with half a table."""
    file = tmp_path / "images.yaml"
    _write(file, "a: [")
    with pytest.raises(InvalidInputError, match=r"images\.yaml"):
        LiveTable(file)
