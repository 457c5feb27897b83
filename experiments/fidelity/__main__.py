"""`python -m experiments.fidelity`: measure the random links on this machine and write docs/fidelity.md."""

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from experiments.fidelity.links import COUNT, SEED, draw
from experiments.fidelity.measuring import measure_links
from experiments.fidelity.page import Circumstances, render
from experiments.machine import load_average, machine_facts
from kubinet.errors import KubinetError

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "fidelity.md"


def main(arguments: list[str]) -> int:
    """The program; its exit status is 1 when a link was off although the machine was quiet."""
    parser = argparse.ArgumentParser(prog="python -m experiments.fidelity", description=__doc__)
    parser.add_argument("--links", type=int, default=COUNT, help="how many links (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="the draw's seed (default: %(default)s)")
    parser.add_argument("--attempts", type=int, default=5, help="measurements of a link that is off")
    parser.add_argument("--seconds", type=float, help="no link is measured again after so long")
    parser.add_argument("--output", type=Path, default=_PAGE, help="where the page is written")
    wanted = parser.parse_args(arguments)
    load = load_average()[0]
    found = measure_links(draw(wanted.links, wanted.seed), attempts=wanted.attempts, deadline_s=wanted.seconds)
    facts = machine_facts()
    where = Circumstances(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        machine=f"{facts['cpu_model']}, {os.cpu_count()} CPUs, Linux {facts['kernel']}",
        load=load,
        seed=wanted.seed,
    )
    wanted.output.write_text(render(found, where), encoding="utf-8")
    print(wanted.output)
    return int(any(one.problems and not one.disturbances for one in found))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KubinetError as error:
        sys.exit(f"Error: {error}")
