"""The presets in Mininet alone: `mn --custom topologies/mininet_topos.py`."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sandboxed import call_sandboxed

from kubinet.syscalls import MS_BIND, mount

pytestmark = pytest.mark.emulated

_CHECKOUT = Path(__file__).resolve().parents[2]
_TOPOS = _CHECKOUT / "topologies" / "mininet_topos.py"


def _pingall(topo: str) -> str:
    """What mn says; with a private /tmp, because mn deletes files there by name."""
    checkout = os.open(_CHECKOUT, os.O_PATH)
    mount("tmpfs", "/tmp", "tmpfs")
    if _CHECKOUT.is_relative_to("/tmp"):  # the checkout is found again where it was
        _CHECKOUT.mkdir(parents=True)
        mount(f"/proc/self/fd/{checkout}", _CHECKOUT, flags=MS_BIND)
    os.close(checkout)
    argv = [sys.executable, str(shutil.which("mn")), "--custom", str(_TOPOS), "--controller", "none"]
    argv += ["--topo", topo, "--test", "pingall"]
    environment = {**os.environ, "HOME": "/tmp"}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=100, check=False)
    return f"{done.returncode}\n{done.stdout}{done.stderr}"


@pytest.mark.skipif(shutil.which("mn") is None, reason="Mininet's mn is not installed")
@pytest.mark.parametrize(
    ("topo", "hosts"), [("kubinet-leaf-spine,nodes=3", 8), ("kubinet-star", 4), ("kubinet-fat-tree,nodes=2,k=2", 8)]
)
def test_mn_runs_the_presets_and_all_hosts_answer(topo: str, hosts: int) -> None:
    """`mn --test pingall` on a preset: every host and router reaches every other one."""
    words = call_sandboxed(_pingall, topo)
    rows = dict(re.findall(r"^(\S+) -> (.*)$", words, re.MULTILINE))
    assert words.startswith("0\n"), words
    assert len(rows) == hosts, words
    assert all(len(set(row.split()) - {"X"}) == hosts - 1 for row in rows.values()), words
