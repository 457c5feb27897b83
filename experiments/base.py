"""What workloads and measurements are made of: a running cluster as they use it, and parameters."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from experiments.measure.target import ExecResult, Host, Target
from experiments.records import Value
from kubinet.errors import UsageError


class PodTarget(Target, Protocol):
    """A running pod."""

    @property
    def node(self) -> str:
        """The name of the node that it runs on."""
        ...

    def wait_log(self, text: str, *, timeout: float = 15.0) -> str:
        """The first line of its log that contains `text`, waited for; `timeout` in seconds."""
        ...


class RunningCluster(Protocol):
    """What experiments use of a cluster; `kubinet.cluster.Cluster` satisfies it."""

    @property
    def name(self) -> str:
        """How `kubinet --cluster` calls it."""
        ...

    @property
    def topology(self) -> Mapping[str, Any]:
        """The resolved Topology document."""
        ...

    @property
    def timings(self) -> Mapping[str, float]:
        """Phase of bringing the cluster up, to seconds."""
        ...

    def run(self, argv: Sequence[str], *, timeout: float = 60.0, check: bool = True) -> ExecResult:
        """Run a program in the sandbox itself."""
        ...

    def apply(self, manifests: str | Path) -> Sequence[tuple[Mapping[str, Any], str]]:
        """Create or update every object of a YAML text or file; returns each as it is then, and what was done."""
        ...

    def delete(self, manifests: str | Path) -> object:
        """Delete every object of a YAML text or file."""
        ...

    def wait(
        self, kind: str, name: str, condition: str = "Ready", *, namespace: str | None = None, timeout: float = 60.0
    ) -> object:
        """Return when the object has the condition; `timeout` in seconds."""
        ...

    def wait_until(
        self,
        kind: str,
        name: str,
        holds: Callable[[dict[str, Any] | None], bool],
        *,
        namespace: str | None = None,
        timeout: float = 60.0,
        what: str = "the expected state",
    ) -> object:
        """Return when `holds(object)` (None: there is no such object); `timeout` in seconds."""
        ...

    def pod(self, name: str, namespace: str = "default") -> PodTarget:
        """A handle of a running pod."""
        ...

    def node(self, name: str) -> Host:
        """A handle of a node."""
        ...

    def outside(self, name: str | None = None) -> Host:
        """A handle of an outside host; the first where no name is given."""
        ...

    def wait_realised(self, timeout: float = 60.0) -> None:
        """Return when every node's flows include all that was changed by now; `timeout` in seconds."""
        ...


class Holds(StrEnum):
    """What a text parameter names of a cluster; whether that can exist is checked before the first run."""

    PLACES = "places"
    """Places, services or addresses with commas between; `none` is no name."""
    PLACES_IN_WORDS = "places in words"
    """An expression with places in it, such as `pod/a > pod/b = 3`."""
    CAPTURED = "captured"
    """Places to capture at: `link/NAME` and `node/NAME:INTERFACE`, too."""
    LINKS = "links"
    """Names of links with commas between."""
    OBJECTS = "objects"
    """Objects with commas between: `Deployment/web, shop:Pod/db`."""
    MANIFESTS = "manifests"
    """Objects as YAML text, which the plug-in applies."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that the experiment keeps constant and a user may set."""

    name: str
    default: Value
    quick: Value
    """The value with `--quick`: a run of under a minute that shows that everything works."""
    meaning: str
    """With the unit."""
    minimum: float | None = None
    maximum: float | None = None
    holds: Holds | None = None
    """What a text names; None: nothing of the cluster."""

    def parse(self, text: str) -> Value:
        """The value written as on the command line; UsageError naming the parameter when it has the wrong type."""
        kind = type(self.default)
        try:
            value: Value = text if kind is str else kind(text)
        except ValueError as error:
            raise UsageError(f"parameter '{self.name}': '{text}' is not {_article(kind)}") from error
        return self.check(value)

    def check(self, value: Value) -> Value:
        """The value, when type and range are right; UsageError otherwise."""
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise UsageError(f"parameter '{self.name}': {value!r} is not {_article(kind)}")
        if self.minimum is not None and not isinstance(value, str) and not value >= self.minimum:
            raise UsageError(f"parameter '{self.name}': {value!r} is below its minimum {self.minimum:g}")
        if self.maximum is not None and not isinstance(value, str) and not value <= self.maximum:
            raise UsageError(f"parameter '{self.name}': {value!r} is above its maximum {self.maximum:g}")
        return value


def _article(kind: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false"}.get(kind, "a text")


def parameter_sections(parameters: Iterable[Parameter]) -> dict[str, dict[str, Value]]:
    """The field `parameters` of an experiment whose workload takes these."""
    return {
        one.name: {"default": one.default, "quick": one.quick, "meaning": one.meaning}
        | ({} if one.minimum is None else {"minimum": one.minimum})
        for one in parameters
    }
