"""What the benchmarks' main programs share: each measurement is kept as soon as it is made, and a page ends it."""

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from experiments.folder import new_folder, write_json, write_text
from experiments.machine import machine_facts, versions
from kubinet.errors import KubinetError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Run = TypeVar("_Run", bound="DataclassInstance")


def keep(
    name: str,
    output_dir: Path,
    runs: Iterable[_Run],
    *,
    tell: Callable[[_Run], str],
    page: Callable[[Sequence[_Run]], str],
    facts: Mapping[str, Any] | None = None,
) -> int:
    """Take the runs in one after the other; writes `NAME.json` after each and `NAME.md` at the end.

    Returns the exit status; a run that fails ends it with the error on standard error, and what was measured stays.
    """
    folder = new_folder(output_dir, f"bench-{name}")
    known = {"machine": machine_facts(), "versions": versions(), **(facts or {})}
    made: list[_Run] = []
    try:
        for run in runs:
            made.append(run)
            print(tell(run), file=sys.stderr, flush=True)
            write_json(folder / f"{name}.json", {**known, "runs": [dataclasses.asdict(one) for one in made]})
    except KubinetError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    text = page(made)
    write_text(folder / f"{name}.md", text)
    print(text)
    return 0
