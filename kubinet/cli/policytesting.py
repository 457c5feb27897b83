"""`kubinet policy test`: reads documents, asks, reports."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubinet.cli.policyworlds import Offline, manifests_of, tell
from kubinet.documents import Path as Fields
from kubinet.documents import spell
from kubinet.errors import InvalidInputError, UsageError
from kubinet.manifests import Manifest, read_manifests
from kubinet.reach.expectations import PolicyTest, parse_policy_test
from kubinet.reach.testing import Observation, Outcome, Questions, Result
from kubinet.reach.world import World

_KIND = "PolicyTest"
_MOST_FAILURES = 20
_PRESET_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Document:
    """A test and the file that it stands in."""

    test: PolicyTest
    path: str

    def beside(self, name: str) -> str:
        """A file that the document names, from its own folder."""
        return name if self.path == "-" else str(Path(self.path).parent / name)


def documents(path: str) -> list[Document]:
    """The PolicyTest documents of a file; UsageError (exit status 2) for what they may not say."""
    try:
        return [Document(_parsed(manifest), path) for manifest in read_manifests(path)]
    except InvalidInputError as error:
        raise UsageError(str(error)) from error


def _parsed(manifest: Manifest) -> PolicyTest:
    if manifest.object["kind"] != _KIND:
        what = f"{manifest.object['kind']} is no {_KIND}; name manifests with -f or in spec.manifests"
        raise UsageError(f"{manifest.where}: {what}")

    def where(fields: Fields) -> str:
        return f"{manifest.source}:{manifest.line_of(fields)}: {spell(fields)}"

    return parse_policy_test(manifest.object, where)


def made_up(document: Document, files: Sequence[str], offline: Offline) -> World:
    """The world of the document's manifests, or of those of the command line; UsageError where it has none."""
    test = document.test
    found = list(files) or [document.beside(name) for name in test.manifests]
    if not found:
        raise UsageError(f"{document.path}: {test.name} names no manifests; name them with -f, or ask with --live")
    topology = offline.topology
    if test.topology is not None:
        topology = document.beside(test.topology) if test.topology.endswith(_PRESET_SUFFIXES) else test.topology
    try:
        place = Offline(topology, offline.nodes or test.nodes, offline.recursive)
        made = place.build(manifests_of(found, offline.recursive), test.namespace)
    except InvalidInputError as error:
        raise UsageError(str(error)) from error
    tell(made)
    return made.world


def observed(cluster: str | None, world: World, asked: Sequence[Questions], timeout: str) -> Mapping[str, Observation]:
    """What real packets find in the running cluster."""
    from kubinet.cli.connection import cluster_of
    from kubinet.cli.durations import seconds
    from kubinet.cli.policyobserving import observe

    return observe(cluster_of(cluster), world, asked, seconds(timeout, "--timeout"))


def report(results: Iterable[Result]) -> str:
    """A line for each expectation, what is not as expected below it, and the sum."""
    lines: list[str] = []
    every = list(results)
    for one in every:
        words = f"{one.checks} asked" if one.outcome is Outcome.PASSED else one.trouble
        if one.outcome is Outcome.FAILED:
            words = f"{len(one.failures)} of {one.checks} are not as expected"
        lines.append(f"{one.outcome.upper():7} {one.expectation.name}: {words}")
        lines += [f"          {failure.check.words}: {failure.why}" for failure in one.failures[:_MOST_FAILURES]]
        more = len(one.failures) - _MOST_FAILURES
        lines += [f"          and {more} more"] if more > 0 else []
    counts = [f"{sum(one.outcome is outcome for one in every)} {outcome}" for outcome in Outcome]
    return "".join(f"{line}\n" for line in [*lines, ", ".join(counts)])


def results_json(results: Iterable[Result]) -> list[dict[str, Any]]:
    """All of it."""
    return [
        {
            "name": one.expectation.name,
            "outcome": str(one.outcome),
            "asked": one.checks,
            "trouble": one.trouble,
            "failures": [
                {
                    "from": failure.check.source.name,
                    "to": failure.check.answer.destination,
                    "ports": str(failure.check.span),
                    "expected": str(failure.check.expected),
                    "why": failure.why,
                }
                for failure in one.failures
            ],
        }
        for one in results
    ]
