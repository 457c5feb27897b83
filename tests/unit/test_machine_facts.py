"""What results record about the machine and Kubinet's checkout."""

import subprocess
from pathlib import Path

import pytest

from experiments.machine import git_state, versions


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit."""
    for argv in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "--allow-empty", "-m", "first"],
    ):
        subprocess.run(["git", "-C", tmp_path, *argv], check=True)
    return tmp_path


def _head(checkout: Path) -> str:
    done = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_commit_and_changes(checkout: Path) -> None:
    """A file that git does not know makes the checkout dirty."""
    head = _head(checkout)
    assert git_state(checkout) == {"commit": head, "dirty": False}
    (checkout / "new").touch()
    assert git_state(checkout) == {"commit": head, "dirty": True}


def test_checkout_of_somebody_else(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a shared machine the checkout may be the administrator's: its commit is known all the same."""
    head = _head(checkout)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert git_state(checkout) == {"commit": head, "dirty": False}


def test_git_that_fails_says_nothing(tmp_path: Path) -> None:
    """A repository without a commit has none; git's error is no fact."""
    subprocess.run(["git", "-C", tmp_path, "init", "-q"], check=True)
    assert git_state(tmp_path) == {"commit": None, "dirty": False}
    (tmp_path / ".git" / "HEAD").unlink()
    assert git_state(tmp_path) == {"commit": None, "dirty": None}


def test_programs_of_administrators_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user's PATH on Debian lacks /usr/sbin, where clusters find Open vSwitch; so do the results."""
    with_sbin = versions()["programs"]
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
    assert versions()["programs"] == with_sbin
