"""Runs in the guest: upstream's cases of policies on the kernel datapath; prints JSON.

The argument says which (`policycases.batch`). Every pair of pods, and of pods and nodes, is probed on every port after
each step; a line on standard error tells each case's end.
"""

import contextlib
import faulthandler
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kernel_cluster import READY_SECONDS, kernel_cluster

sys.path.extend(str(Path(__file__).resolve().parents[2] / folder) for folder in ("emulated", "unit"))
import policycases
from policylab import Conditions, PolicyLab
from policyprobes import Timing
from policyworld import Case

CONDITIONS = Conditions(
    ready_seconds=READY_SECONDS,
    timing=Timing(longest=90, grace=1.5, again=3),
    sctp_by_ports=True,
    asks_oracle=False,  # about the tables it is asked on the host
)


def look(lab: PolicyLab, cases: Sequence[Case]) -> Iterator[dict[str, Any]]:
    """What each case found."""
    for case in cases:
        begin = time.monotonic()
        faulthandler.dump_traceback_later(300)  # a case that hangs says where
        differences = lab.differences(case)
        seconds = round(time.monotonic() - begin, 1)
        print(f"{seconds} s, {len(differences)} differences: {case.name}", file=sys.stderr, flush=True)
        yield {"case": case.name, "differences": differences[:30], "seconds": seconds}
    faulthandler.cancel_dump_traceback_later()


def main(name: str) -> None:
    cases = policycases.batch(name)
    bases = list({id(case.world): case.world for case in cases}.values())
    begin = time.monotonic()
    with kernel_cluster("star", {}, nodes=3) as cluster:
        with contextlib.closing(PolicyLab(cluster, *bases, conditions=CONDITIONS)) as lab:
            ready = round(time.monotonic() - begin, 1)
            print(f"{ready} s: cluster and pods are ready", file=sys.stderr, flush=True)
            json.dump({"ready seconds": ready, "cases": list(look(lab, cases))}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
