"""Experiments made in Python: the same fields as in a file, with the same checks.

>>> design = experiment(
...     "mtu",
...     "What does a smaller MTU cost?",
...     topology={"preset": "star", "nodes": 2},
...     manifests=[{"name": "pods", "inline": "apiVersion: v1\\nkind: Pod\\nmetadata: {name: a}\\n"}],
...     factors=[factor("mtu", [1500, 1400], sets="topology.network.mtu", unit="bytes")],
...     workload=[{"kind": "ping", "from": "pod/a", "to": "node/n2"}],
...     repetitions=3,
... )
>>> [level.name for level in design.factors[0].levels]
['1500', '1400']
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.design.document import KIND, parse_document
from experiments.design.model import ExperimentDesign
from experiments.design.resolved import experiment_yaml
from experiments.records import Value
from kubinet.errors import KubinetError

Section = Mapping[str, Any]


def experiment(
    name: str,
    question: str,
    *,
    topology: Section,
    workload: Sequence[Section],
    summary: str | None = None,
    manifests: Sequence[str | Section] = (),
    ready: Sequence[str] = (),
    parameters: Mapping[str, Value | Section] | None = None,
    factors: Sequence[Section] = (),
    exclude: Sequence[Mapping[str, Value]] = (),
    repetitions: int | None = None,
    seed: int | None = None,
    order: str | None = None,
    warmup: str | float | None = None,
    measurements: Sequence[Section] = (),
    timeline: Sequence[str] = (),
    files: Sequence[Section] = (),
    measures: str | None = None,
    expect: Section | None = None,
    stop: Section | None = None,
    quick: Section | None = None,
    analysis: Sequence[Section] = (),
    claims: Sequence[Section] = (),
    published: Sequence[Section] = (),
    folder: str | Path = ".",
) -> ExperimentDesign:
    """The design; every argument is the field of that name of an Experiment file, in plain Python values.

    `folder`: where files that it names are. InvalidInputError for what a file may not say either.
    """
    spec = {
        "question": question,
        "summary": summary,
        "topology": topology,
        "manifests": manifests,
        "ready": ready,
        "parameters": parameters,
        "factors": factors,
        "exclude": exclude,
        "repetitions": repetitions,
        "seed": seed,
        "order": order,
        "warmup": warmup,
        "workload": workload,
        "measurements": measurements,
        "timeline": timeline,
        "files": files,
        "measures": measures,
        "expect": expect,
        "stop": stop,
        "quick": quick,
        "analysis": analysis,
        "claims": claims,
        "published": published,
    }
    document = {
        "apiVersion": "kubinet.dev/v1",
        "kind": KIND,
        "metadata": {"name": name},
        "spec": {key: _plain(value) for key, value in spec.items() if value is not None},
    }
    return parse_document(document, Path(folder))


def factor(
    name: str,
    levels: Sequence[Value | Section],
    *,
    sets: str | Sequence[str] = (),
    meaning: str = "",
    unit: str = "",
) -> Section:
    """A factor; `levels` are values, or what `level` returns; `sets`: path or paths that the values go to."""
    written: dict[str, Any] = {"name": name, "levels": levels, "meaning": meaning, "unit": unit}
    return written | ({"sets": sets} if sets else {})


def level(name: str, value: Value | None = None, sets: Mapping[str, Value] | None = None) -> Section:
    """A level with a name; `value`: what `$(factor)` stands for (else the name); `sets`: paths and values."""
    written: dict[str, Any] = {"name": name, "set": sets or {}}
    return written if value is None else written | {"value": value}


def write_experiment(design: ExperimentDesign, path: str | Path) -> None:
    """Write the design as an Experiment file that reads back equal; KubinetError where it cannot be written."""
    try:
        Path(path).write_text(experiment_yaml(design), encoding="utf-8")
    except OSError as error:
        raise KubinetError(f"{path}: cannot be written: {error.strerror}") from error


def _plain(value: Any) -> Any:
    """Lists and dicts, as JSON Schema wants them, of any sequences and mappings."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return value
