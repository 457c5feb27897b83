"""Every test here boots the guest kernel: all have the marker `guest`, and are skipped where it is not installed."""

import shutil
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = pytest.mark.skip(reason="the guest kernel is not installed (apt install user-mode-linux)")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.guest)
            if shutil.which("linux.uml") is None:
                item.add_marker(missing)
