"""`kubinet calibrate`: what this machine can emulate honestly, as a table and in the state folder."""

from kubinet.cli.options import Facts
from kubinet.cli.printers import to_json
from kubinet.cli.table import text_table
from kubinet.cli.terminal import progress


def run(output: Facts, *, quick: bool, busy: bool) -> None:
    """Calibrate, keep it, print it."""
    from experiments.calibration.calibrate import FULL, QUICK, calibrate
    from experiments.calibration.machine import state_folder
    from experiments.calibration.values import save, to_document
    from experiments.engine.session import terminable

    console = progress()

    def tell(phase: str, text: str, fraction: float) -> None:  # noqa: ARG001 - no bar to fill
        console.print(f"{phase}: {text}", markup=False, soft_wrap=True)

    with terminable():
        found = calibrate(QUICK if quick else FULL, tell=tell, demand_quiet=not busy)
    path = save(state_folder(), found)
    if output is Facts.JSON:
        print(to_json({**to_document(found), "file": str(path)}), end="")
        return
    rows = [
        (one.name, f"{one.value:g} {one.unit}", "" if one.failed is None else f"{one.failed:g}", one.reason)
        for one in found.capacities
    ]
    print(text_table(("WHAT", "HONEST UP TO", "FAILED AT", "WHY"), rows), end="")
    print(f"{found.seconds:g} s; kept in {path}")
