"""Fixtures of the tests on a private Open vSwitch; makes the helpers beside this file importable."""

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from controllers import ControllerProcess
from nodes import NodeSwitch
from private_ovs import SCHEMA, OpenVSwitch
from service_states import cluster


@pytest.fixture
def ovs(tmp_path: Path) -> Iterator[OpenVSwitch]:
    """A running Open vSwitch, gone after the test."""
    if shutil.which("ovs-vswitchd", path="/usr/sbin:/usr/bin") is None or not SCHEMA.exists():
        pytest.skip("Open vSwitch is not installed; `make packages` installs it")
    switch = OpenVSwitch(tmp_path)
    try:
        switch.start()
        yield switch
    finally:
        switch.stop()


@pytest.fixture
def node(ovs: OpenVSwitch) -> Iterator[NodeSwitch]:
    """n1 with the ports of its pods a and b, without a controller."""
    switch = NodeSwitch(ovs, cluster().nodes["n1"], [102, 103])
    try:
        yield switch
    finally:
        switch.close()


@pytest.fixture
def controllers(tmp_path: Path) -> Iterator[Callable[..., ControllerProcess]]:
    """Starts controllers; afterwards none is left, and none may have logged an error that the test did not expect."""
    with ExitStack() as stack:

        def start(framework: str, *, audit_seconds: float = 60.0) -> ControllerProcess:
            process = ControllerProcess(framework, tmp_path / "controller.log", audit_seconds)
            stack.callback(process.kill)
            return process

        yield start
    log = tmp_path / "controller.log"
    said = log.read_text() if log.exists() else ""
    trouble = [line for line in said.splitlines() if re.search(r" ERROR | CRITICAL |Traceback", line)]
    expected = (tmp_path / "expected-trouble").exists()
    assert expected or not trouble, "\n".join(trouble)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, NodeSwitch]]:
    """n1 with pods a and b, n2 with pod c."""
    made: dict[int, NodeSwitch] = {}
    switches = []
    state = cluster()
    try:
        for index, ports in ((1, [102, 103]), (2, [102])):
            ovs = OpenVSwitch(tmp_path_factory.mktemp(f"n{index}"))
            switches.append(ovs)
            ovs.start()
            made[index] = NodeSwitch(ovs, state.nodes[f"n{index}"], ports)
        yield made
    finally:
        for node in made.values():
            node.close()
        for ovs in switches:
            ovs.stop()
