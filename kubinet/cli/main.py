"""`kubinet`: runs a command and turns every outcome into what a user may expect.

Errors are one line on standard error, exit status 1 (it failed) or 2 (it was asked wrongly); ctrl-C is 130; a reader
that went away (`kubinet get pods | head -1`) ends the program quietly. KUBINET_DEBUG=1 shows tracebacks.
"""

import os
import sys
import traceback
from collections.abc import Sequence

import typer

from kubinet.cli import commands
from kubinet.errors import KubinetError, UsageError

INTERRUPTED = 130
"""128 + SIGINT, what shells report."""


def main() -> None:
    """The entry point of the `kubinet` program."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status; nothing is raised."""
    try:
        status = _run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _drop_output()
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(arguments: Sequence[str]) -> int:
    try:
        result = typer.main.get_command(commands.app).main(
            args=list(arguments), prog_name="kubinet", standalone_mode=False
        )
    except typer.TyperException as error:
        return _usage(error)
    except KubinetError as error:
        return _fail(error, str(error), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(error, f"{where}{error.strerror or error}", 1)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except Exception as error:
        text = f"internal error: {type(error).__name__}: {error}; KUBINET_DEBUG=1 shows where, please report it"
        return _fail(error, text, 1)
    return result if isinstance(result, int) else 0


def _usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return 0  # the help is printed already
    text = error.format_message()
    hint = f"Try '{context.command_path} --help'." if context is not None else "Try 'kubinet --help'."
    return _fail(error, f"{text}\n{hint}", UsageError.exit_code)


def _fail(error: BaseException, text: str, status: int) -> int:
    sys.stdout.flush()
    if os.environ.get("KUBINET_DEBUG", "0") not in {"", "0"}:
        traceback.print_exception(error)
    typer.echo(f"Error: {text}", err=True)
    return status


def _drop_output() -> None:
    """Point standard output at nothing, so that the interpreter's last flush does not fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())


if __name__ == "__main__":
    main()
