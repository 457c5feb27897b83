"""What tests in guests share: the kernels that this machine can boot, and scenarios that are run once.

Every test here has the marker `guest`; where a guest kernel is missing its tests are skipped, each with the reason.
"""

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from topologies.guest import DEFAULT_MODULES, GuestStalledError, Kernel, qemu, run_in_guest, uml

HERE = Path(__file__).parent
SCENARIOS = HERE / "scenarios"
_LACKS: Mapping[Kernel, tuple[Callable[[], bool], str]] = {
    Kernel.UML: (uml.available, "user-mode Linux is not installed (apt install user-mode-linux)"),
    Kernel.QEMU: (
        qemu.available,
        "no virtual machine (apt install qemu-system-x86 busybox kmod; its kernel comes with `apt-get download`)",
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.guest)


_stalls: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which guests had to be started anew: a count that grows is a defect to look for."""
    for stall in _stalls:
        terminalreporter.section("a guest's kernel stalled and was started anew")
        terminalreporter.write_line(stall)


def _require(kernel: Kernel) -> None:
    available, lack = _LACKS[kernel]
    if not available():
        pytest.skip(f"guest kernel {kernel}: {lack}")


@pytest.fixture(params=[Kernel.UML, Kernel.QEMU], ids=str, scope="module")
def kernel(request: pytest.FixtureRequest) -> Kernel:
    """Each guest kernel that this machine has."""
    kernel = Kernel(request.param)
    _require(kernel)
    return kernel


@functools.cache
def _outcome(kernel: Kernel, scenario: str, arguments: tuple[str, ...], timeout: float) -> dict[str, Any]:
    argv = ["python", str(SCENARIOS / scenario), *arguments]
    modules = [*DEFAULT_MODULES, "bridge"]
    start = functools.partial(run_in_guest, argv, timeout=timeout, memory_mb=2048, modules=modules, kernel=kernel)
    try:
        result = start()
    except GuestStalledError as stalled:
        # Once: QEMU's emulation of several processors loses one now and then, before the scenario is over.
        _stalls.append(f"{scenario}: {stalled}")
        result = start()
    assert result.exit_code == 0, result.stderr.decode()
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.fixture(scope="session")
def run_scenario() -> Callable[..., dict[str, Any]]:
    """`run_scenario(kernel, "file.py", *arguments, timeout=…)`: the JSON that this file of `scenarios/` prints.

    It runs in a guest of its own, once in a session for the same arguments: a module's tests share one boot. Skips the
    test where the kernel is missing, fails with the scenario's standard error when it does not end with status 0.
    """

    def run(kernel: Kernel, scenario: str, *arguments: str, timeout: float = 600) -> dict[str, Any]:
        _require(kernel)
        return _outcome(kernel, scenario, arguments, timeout)

    return run
