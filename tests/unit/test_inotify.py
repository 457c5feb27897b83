"""Waiting for files without looking again and again."""

import os
import threading
from pathlib import Path

from kubinet.inotify import FolderWatch, wait_for_file


def test_a_file_that_is_there_is_not_waited_for(tmp_path: Path) -> None:
    """The answer is immediate, also with no time left."""
    (tmp_path / "here").touch()
    assert wait_for_file(tmp_path / "here", 0) is True


def test_a_file_ends_the_wait_when_it_appears(tmp_path: Path) -> None:
    """Other files of the folder do not."""
    files = (tmp_path / "other", tmp_path / "wanted")
    timer = threading.Timer(0.05, lambda: [file.touch() for file in files])
    timer.start()
    assert wait_for_file(files[1], 10) is True
    timer.join()
    assert wait_for_file(tmp_path / "never", 0.01) is False


def test_the_end_of_the_maker_ends_the_wait(tmp_path: Path) -> None:
    """A readable descriptor, such as a dead process's pidfd, means that nothing comes any more."""
    readable, writable = os.pipe()
    os.close(writable)
    assert wait_for_file(tmp_path / "never", 60, unless=[readable]) is False
    os.close(readable)


def test_an_unwatchable_folder_is_named(tmp_path: Path) -> None:
    """The error carries the folder's path."""
    try:
        FolderWatch(tmp_path / "missing")
    except FileNotFoundError as error:
        assert error.filename == str(tmp_path / "missing")
    else:
        raise AssertionError("no error")
