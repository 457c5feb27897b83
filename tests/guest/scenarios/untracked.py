"""Runs in a guest whose Open vSwitch cannot track connections: what Kubinet does about it; prints JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

from topologies.capabilities import examine
from topologies.datapath import choose_datapath, detect_datapaths
from topologies.resolve import load_topology


def main() -> None:
    argv = ["kubinet", "up", "star", "--nodes", "2", "--datapath", "system", "--name", "untracked"]
    refused = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    state = Path(os.environ["XDG_STATE_HOME"])
    topology = load_topology("star")
    found = {
        "exit_code": refused.returncode,
        "error": " ".join(refused.stderr.split()),
        "left": [str(path) for path in state.rglob("*") if path.is_file()],
        "datapath": str(choose_datapath(topology, detect_datapaths(topology.network.overlay))),
        "doctor": {one.name: one.present for one in examine()},
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
