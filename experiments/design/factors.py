"""What a user changes of a design: `--set factor=levels`, `--reps`, `--seed`, `-p`, `--quick`. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from experiments.design.model import (
    AnalysisDesign,
    Claim,
    ExperimentDesign,
    FactorDesign,
    Level,
    ParameterDesign,
    Published,
    QuickDesign,
)
from experiments.design.places import spelled
from experiments.design.reading import parameter_value
from experiments.design.shown import without_unrun
from experiments.records import Value
from kubinet.errors import InvalidInputError, UsageError
from kubinet.yamldata import parse_documents

MAX_SEED: Final = 2**63 - 1
"""As in the schema: a signed 64-bit number, which every reader of YAML keeps exactly."""


def parse_levels(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Levels by factor, of words `overlay=vxlan,direct`; UsageError."""
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        factor, equals, text = word.partition("=")
        levels = tuple(level.strip() for level in text.split(","))
        if not equals or not factor:
            raise UsageError(f"--set {word!r}: write FACTOR=LEVEL,LEVEL, such as overlay=vxlan,direct")
        if not all(levels):
            raise UsageError(f"--set {word!r}: a level is empty; write FACTOR=LEVEL,LEVEL")
        if factor in found:
            raise UsageError(f"--set {factor} is given twice; put all levels into one")
        found[factor] = levels
    return found


def parse_parameters(design: ExperimentDesign, words: Sequence[str]) -> dict[str, Value]:
    """Parameters' values, of words `seconds=5`; UsageError."""
    found: dict[str, Value] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise UsageError(f"parameter {word!r}: write NAME=VALUE")
        if name in found:
            raise UsageError(f"parameter '{name}' is given twice; keep one")
        present = _parameter(design, name)
        found[name] = text if isinstance(present, str) else _yaml(text, f"parameter '{name}'")
    return found


def override(
    design: ExperimentDesign,
    *,
    levels: Mapping[str, Sequence[str]] | None = None,
    repetitions: int | None = None,
    seed: int | None = None,
    parameters: Mapping[str, Value] | None = None,
    quick: bool = False,
) -> ExperimentDesign:
    """The design as the user wants it today; what is given wins over what `quick` says. UsageError.

    `levels`: factor to the levels that are kept, in this order; a factor whose levels are plain values takes new ones.
    One that had a single level and gets more is kept apart in every analysis. What speaks of levels that are gone
    (excluded combinations, baselines, analyses, claims), or only of combinations that are not run any more, goes with
    them: `experiments.design.shown.claims_left_out` says which claims. With other parameters a run takes what its
    workloads say. A design that was made quick is no longer changed by `quick`.
    """
    chosen: dict[str, Sequence[str]] = dict(levels or {})
    values: dict[str, Value] = dict(parameters or {})
    if quick:
        chosen = {**design.quick.levels, **chosen}
        brief = {name: one.quick for name, one in design.declared.items() if one.quick is not None}
        values = {**brief, **values}
        repetitions = design.quick.repetitions if repetitions is None else repetitions
    if repetitions is not None and repetitions < 1:
        raise UsageError(f"{repetitions} repetitions measure nothing; give at least 1")
    if seed is not None and not 0 <= seed <= MAX_SEED:
        raise UsageError(f"seed {seed} is out of range; give a whole number from 0 to {MAX_SEED}")
    unknown = [name for name in chosen if name not in {factor.name for factor in design.factors}]
    if unknown:
        names = ", ".join(factor.name for factor in design.factors) or "none"
        raise UsageError(f"experiment '{design.name}' has no factor '{unknown[0]}'; it has: {names}")
    factors = tuple(_chosen(factor, chosen.get(factor.name)) for factor in design.factors)
    changed = replace(
        design,
        factors=factors,
        analysis=tuple(_apart(one, _widened(design.factors, factors)) for one in design.analysis),
        parameters={**design.parameters, **{name: _valued(design, name, value) for name, value in values.items()}},
        repetitions=design.repetitions if repetitions is None else repetitions,
        seed=design.seed if seed is None else seed,
        run_seconds=0.0 if values else design.run_seconds,
    )
    if quick:
        changed = replace(
            changed,
            quick=QuickDesign(repetitions=changed.repetitions),
            declared={name: replace(one, quick=None) for name, one in design.declared.items() if _says_more(one)},
        )
    return without_unrun(_consistent(changed, _gone(design, changed)), design)


def _widened(before: Sequence[FactorDesign], after: Sequence[FactorDesign]) -> tuple[str, ...]:
    """Factors that had one level and have several now."""
    pairs = zip(before, after, strict=True)
    return tuple(new.name for old, new in pairs if len(old.levels) == 1 < len(new.levels))


def _apart(one: AnalysisDesign, factors: Sequence[str]) -> AnalysisDesign:
    """An analysis with levels apart that its author had no reason to keep apart: there was one."""
    return replace(one, by=(*one.by, *(name for name in factors if name not in one.by and name not in one.where)))


def _chosen(factor: FactorDesign, names: Sequence[str] | None) -> FactorDesign:
    if names is None:
        return factor
    if not names:
        raise UsageError(f"factor '{factor.name}' has no levels left; name at least one")
    if len(set(names)) != len(names):
        raise UsageError(f"factor '{factor.name}': a level is named twice; keep one")
    known = {level.name: level for level in factor.levels}
    return replace(factor, levels=tuple(known[name] if name in known else _new(factor, name) for name in names))


def _new(factor: FactorDesign, text: str) -> Level:
    """A level that the file does not have: possible where every level is its value, at the same paths."""
    paths = factor.levels[0].sets
    plain = all(
        level.name == spelled(level.value) and level.sets == dict.fromkeys(paths, level.value)
        for level in factor.levels
    )
    if not plain:
        names = ", ".join(level.name for level in factor.levels)
        raise UsageError(f"factor '{factor.name}' has no level '{text}'; it has: {names}")
    value = _yaml(text, f"factor '{factor.name}'")
    kinds = {type(level.value) for level in factor.levels}
    if type(value) not in kinds and not (kinds <= {int, float} and type(value) in (int, float)):
        shown = ", ".join(level.name for level in factor.levels)
        raise UsageError(f"factor '{factor.name}': {text!r} is of another type than its levels: {shown}")
    return Level(spelled(value), dict.fromkeys(paths, value), value)


def _yaml(text: str, subject: str) -> Value:
    try:
        value = next((document.value for document in parse_documents(text, subject)), None)
    except InvalidInputError as error:
        raise UsageError(f"{subject}: {text!r} is no value: {error}; quote it if it is text") from error
    if not isinstance(value, str | int | float | bool):
        raise UsageError(f"{subject}: {text!r} is not a text, a number, true or false")
    return value


def _parameter(design: ExperimentDesign, name: str) -> Value:
    if name not in design.parameters:
        names = ", ".join(design.parameters) or "none"
        raise UsageError(f"experiment '{design.name}' has no parameter '{name}'; it has: {names}")
    return design.parameters[name]


def _valued(design: ExperimentDesign, name: str, value: Value) -> Value:
    known = design.declared.get(name, ParameterDesign())
    try:
        return parameter_value(name, value, _parameter(design, name), known, f"experiment '{design.name}'")
    except InvalidInputError as error:
        raise UsageError(str(error)) from error


def _says_more(known: ParameterDesign) -> bool:
    """Whether anything is left to say of a parameter without its quick value."""
    return replace(known, quick=None) != ParameterDesign()


def _gone(before: ExperimentDesign, after: ExperimentDesign) -> Mapping[str, set[str]]:
    """Factor to the names of levels that it had."""
    kept = {factor.name: {level.name for level in factor.levels} for factor in after.factors}
    return {factor.name: {level.name for level in factor.levels} - kept[factor.name] for factor in before.factors}


def _consistent(design: ExperimentDesign, gone: Mapping[str, set[str]]) -> ExperimentDesign:
    """Without what speaks of levels that are gone; what never fitted is left for the check."""

    def holds(levels: Mapping[str, str]) -> bool:
        return not any(level in gone.get(factor, ()) for factor, level in levels.items())

    def analysed(one: AnalysisDesign) -> AnalysisDesign:
        return one if holds(one.baseline) else replace(one, baseline={})

    def claimed(one: Claim) -> bool:
        return holds(one.where) and holds(one.against)

    dropped = {one.identity for one in design.claims if not claimed(one)}
    brief = {
        factor: tuple(level for level in levels if level not in gone.get(factor, ()))
        for factor, levels in design.quick.levels.items()
    }

    def repeated(one: Published) -> Published:
        return replace(one, claims=tuple(identity for identity in one.claims if identity not in dropped))

    return replace(
        design,
        exclude=tuple(one for one in design.exclude if holds(one)),
        analysis=tuple(analysed(one) for one in design.analysis if holds(one.where)),
        claims=tuple(filter(claimed, design.claims)),
        published=tuple(map(repeated, design.published)),
        quick=replace(design.quick, levels={factor: levels for factor, levels in brief.items() if levels}),
    )
