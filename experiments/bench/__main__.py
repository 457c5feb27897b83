"""`make bench`: time to ready, memory, single pods; OVN and raw netlink in the same run as references."""

import argparse
import dataclasses
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from experiments.bench import kubinet_bringup, ovn_reference
from experiments.bench.report import Result, Scale, markdown
from experiments.folder import new_folder, write_json, write_text
from experiments.machine import machine_facts, versions
from experiments.throwaway import run_inside
from kubinet.errors import KubinetError

SCALES: Final = (Scale(3, 5), Scale(10, 5), Scale(30, 5), Scale(20, 50))
QUICK_SCALES: Final = (Scale(3, 5),)
PARTS: Final = ("kubinet", "ovn", "netlink", "python")
SINGLE_PODS: Final = 20
NETLINK_COUNT: Final = 500
OVN_TIMEOUT_S: Final = 600.0


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    options = _parser().parse_args(arguments)
    scales = options.scale or (QUICK_SCALES if options.quick else SCALES)
    repetitions = options.reps or (1 if options.quick else 5)
    try:
        _bench(tuple(scales), repetitions, frozenset(options.only or PARTS), options.output_dir)
    except KubinetError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _bench(scales: tuple[Scale, ...], repetitions: int, parts: frozenset[str], output_dir: Path) -> None:
    folder = new_folder(output_dir, "bench")
    python_start_s = kubinet_bringup.python_start_s() if "python" in parts else None
    netlink = (
        run_inside("experiments.bench.netlink_rates", str(NETLINK_COUNT), timeout_s=120) if "netlink" in parts else None
    )
    with_ovn = "ovn" in parts
    if with_ovn and (missing := ovn_reference.missing_programs()):
        _tell(f"no OVN reference: {', '.join(missing)} not found; install ovn-central and ovn-host")
        with_ovn = False
    results = [Result(scale, (), ()) for scale in scales]
    machine, software = machine_facts(), versions()
    for repetition in range(repetitions):
        for index, result in enumerate(results):
            results[index] = _repeat(result, f"repetition {repetition + 1} of {repetitions}", parts, with_ovn=with_ovn)
            # After every bring-up, so that a crash costs one of them.
            write_json(
                folder / "bench.json",
                {
                    "updated": datetime.now(UTC).isoformat(timespec="seconds"),
                    "machine": machine,
                    "versions": software,
                    "python_start_s": python_start_s,
                    "netlink": netlink,
                    "results": [dataclasses.asdict(one) for one in results],
                },
            )
    page = markdown(results, machine=machine, versions=software, python_start_s=python_start_s, netlink=netlink)
    write_text(folder / "performance.md", page)
    print(page)
    _tell(f"results: {folder}")


def _repeat(result: Result, what: str, parts: frozenset[str], *, with_ovn: bool) -> Result:
    """One more repetition of a size: Kubinet and the reference next to each other."""
    scale = result.scale
    if "kubinet" in parts:
        _tell(f"{what}: Kubinet, {scale}")
        run = kubinet_bringup.bring_up(scale.nodes, scale.pods_per_node, single_pods=SINGLE_PODS)
        result = dataclasses.replace(result, kubinet=(*result.kubinet, run))
        _tell(f"  cluster ready {run.cluster_ready_s:.2f} s, every pod answered {run.pods_answer_s:.2f} s")
    if "kubinet" in parts and with_ovn:
        seconds = kubinet_bringup.bring_up(scale.nodes, scale.pods_per_node, single_pods=0, dns=False).pods_answer_s
        result = dataclasses.replace(result, without_dns=(*result.without_dns, seconds))
        _tell(f"  without DNS servers, as the reference: every pod answered {seconds:.2f} s")
    if with_ovn:
        _tell(f"{what}: OVN, {scale}")
        arguments = [str(scale.nodes), str(scale.pods_per_node)]
        try:
            reference = run_inside("experiments.bench.ovn_reference", *arguments, timeout_s=OVN_TIMEOUT_S)
        except KubinetError as error:
            # The measurement of Kubinet is not lost with it.
            result = dataclasses.replace(result, ovn_failed=result.ovn_failed + 1)
            _tell(f"  not up: {error}")
        else:
            result = dataclasses.replace(result, ovn=(*result.ovn, reference))
            _tell(f"  every pod answered {reference['pods_answer_s']:.2f} s")
    return result


def _scale(text: str) -> Scale:
    try:
        nodes, pods = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not NODESxPODS, such as 3x5") from error
    if nodes < 2 or pods < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: at least 2 nodes with 1 pod each answer one another")
    return Scale(nodes, pods)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one repetition of 3 nodes x 5 pods")
    parser.add_argument("--reps", type=int, help="repetitions (default 5, quick 1)")
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part; repeatable")
    parser.add_argument(
        "--scale", action="append", type=_scale, help="a size as NODESxPODS_PER_NODE, such as 3x5; repeatable"
    )
    parser.add_argument("--output-dir", type=Path, default=Path("results"), help="where the results folder is made")
    return parser


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
