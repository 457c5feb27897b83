"""`kubinet run` as a user starts it, ended in an orderly way when it takes too long."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_END_SECONDS = 60.0
"""A run that is told to end takes its cluster down."""


def run_command(*words: str, folder: Path, seconds: float) -> dict[str, Any]:
    """What `kubinet run WORDS -o json` answers, with its results in `folder`; fails with what it said on errors."""
    argv = [sys.executable, "-m", "kubinet.cli.main", "run", *words, "-d", str(folder), "-o", "json"]
    with subprocess.Popen(
        argv, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            said, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            try:
                _, errors = process.communicate(timeout=_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                _, errors = process.communicate()
            raise AssertionError(f"{_spoken(argv)} took more than {seconds:g} s; it said:\n{errors}") from None
    assert process.returncode == 0, f"{_spoken(argv)} ended with {process.returncode}; it said:\n{errors}"
    answer: dict[str, Any] = json.loads(said)
    return answer


def _spoken(argv: Sequence[str]) -> str:
    return " ".join(["kubinet", *argv[3:]])
