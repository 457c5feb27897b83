"""Run a command line in the guest kernel: `python -m topologies.guest [options] -- COMMAND…`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from kubinet.errors import KubinetError
from topologies.guest import DEFAULT_MODULES, Kernel, run_in_guest


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kubinet guest",
        description="Run a command under a guest kernel that has openvswitch and netem.",
    )
    parser.add_argument(
        "--kernel",
        type=Kernel,
        choices=list(Kernel),
        default=Kernel.AUTO,
        metavar="|".join(Kernel),
        help="user-mode Linux, or a virtual machine, whose datapath tracks connections (%(default)s: it if possible)",
    )
    parser.add_argument("--memory", type=int, default=2048, metavar="MB", help="the guest's memory (%(default)s)")
    parser.add_argument("--timeout", type=float, default=3600, metavar="SECONDS", help="end it after (%(default)s)")
    parser.add_argument("--module", action="append", default=[], metavar="NAME", help="load this kernel module too")
    parser.add_argument(
        "--write",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="what is written there stays",
    )
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="set in the environment")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="the command and its arguments, after --")
    return parser


def _show(is_stderr: bool, data: bytes) -> None:
    stream = sys.stderr if is_stderr else sys.stdout
    stream.buffer.write(data)
    stream.buffer.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the command's exit status (128 + signal as a shell's)."""
    parser = _parser()
    options = parser.parse_args(argv)
    settings = dict(setting.partition("=")[::2] for setting in options.env)
    try:
        result = run_in_guest(
            options.command,
            timeout=options.timeout,
            memory_mb=options.memory,
            modules=[*DEFAULT_MODULES, *options.module],
            environment=settings,
            writable=options.write,
            on_output=_show,
            kernel=options.kernel,
        )
    except KubinetError as error:
        sys.stderr.write(f"Error: {error}\n")
        return error.exit_code
    return result.exit_code if result.exit_code >= 0 else 128 - result.exit_code


if __name__ == "__main__":
    sys.exit(main())
