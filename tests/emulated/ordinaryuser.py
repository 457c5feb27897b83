"""Whether a test that root runs can be an ordinary user here."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AS_USER = ROOT / "tools" / "as-user.sh"


def skip_where_closed() -> None:
    """Skip where others than root may not read the checkout."""
    if _closed():
        pytest.skip(f"an ordinary user cannot read {ROOT}; clone into a folder that others may read")


@cache
def _closed() -> bool:
    return os.geteuid() == 0 and subprocess.run([AS_USER, "test", "-x", sys.executable], check=False).returncode != 0
