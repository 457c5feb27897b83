"""Experiments made in Python, on clusters that only play one."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from fakeexperiments import FakeTimeline, FakeWatch

from experiments.design.factors import override
from experiments.design.plan import plan
from experiments.engine.api import Prepared, run_prepared
from experiments.engine.finishing import Finished
from experiments.engine.session import Manner
from experiments.engine.tools import Tools
from experiments.plugins import measurements, workloads
from experiments.registry import find_experiment, load_implementation

__all__ = ["plan", "play", "run_record"]


def play(
    name: str,
    cluster: Any,
    output: Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    repetitions: int | None = None,
    seed: int | None = None,
) -> Finished:
    """Run it to its report; every run's cluster is the one that is given."""
    implementation = find_experiment(name).implementation
    design = override(
        load_implementation(implementation).design(), parameters=parameters, repetitions=repetitions, seed=seed
    )

    @contextmanager
    def the_cluster(*_: Any) -> Iterator[Any]:
        yield cluster

    tools = Tools(
        cluster=the_cluster,
        workload=workloads.__getitem__,
        measurement=measurements.__getitem__,
        watch=FakeWatch,
        timeline=FakeTimeline,
    )
    with (
        mock.patch("experiments.engine.worker.load_tools", lambda _: tools),
        mock.patch("experiments.engine.folder.versions", lambda: {"kubinet": "test"}),
    ):
        return run_prepared(Prepared(design, implementation), manner=Manner(), output_dir=output)


def run_record(directory: Path, index: int = 0) -> dict[str, Any]:
    """A run's run.json."""
    found: dict[str, Any] = json.loads((directory / "runs" / f"{index:04d}" / "run.json").read_text())
    return found
