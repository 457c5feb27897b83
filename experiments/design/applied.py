"""The objects of an experiment's manifests, each text read once."""

from collections.abc import Sequence

from experiments.design.model import RunSpec
from experiments.design.objectsnamed import ObjectNames, names_of
from experiments.design.settings import at
from kubinet.errors import InvalidInputError, KubinetError
from kubinet.manifests import Manifest, parse_manifests


class ManifestReader:
    """Reads texts of objects."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._read: dict[str, ObjectNames] = {}

    def manifests_of(self, spec: RunSpec) -> tuple[ObjectNames, ...]:
        """What a run's manifests are called, in their order; DesignError for one that cannot be read."""
        return tuple(self._names(name, text) for name, text in spec.manifests.items())

    def readable(self, text: str) -> ObjectNames | None:
        """The same of a text that a plug-in or the timeline applies; they judge themselves what cannot be read."""
        try:
            return self._names("applied", text)
        except KubinetError:
            return None

    def _names(self, name: str, text: str) -> ObjectNames:
        if text not in self._read:
            with at("spec", "manifests", name.removesuffix(".yaml")):
                manifests = parse_manifests(text, name)
                _check_unique(manifests)
                self._read[text] = names_of(one.object for one in manifests)
        return self._read[text]


def _check_unique(manifests: Sequence[Manifest]) -> None:
    """InvalidInputError for an object that is there twice, as when copies forget their number."""
    seen = set()
    for one in manifests:
        metadata = one.object["metadata"]
        key = (one.object["apiVersion"], one.object["kind"], metadata.get("namespace"), metadata.get("name"))
        if metadata.get("name") and key in seen:
            raise InvalidInputError(
                f"{one.object['kind']} '{metadata['name']}' is there twice; with `repeat`, put $(i) into its name"
            )
        seen.add(key)
