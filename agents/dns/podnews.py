"""Which changes of pods matter to names: a pod changes some times while it starts, and its name and address once.

Judged in the thread that reads the watch, because each change that goes on wakes the server's event loop.
"""

from collections.abc import Iterable

from agents.dns.cluster import Key
from agents.dns.model import Object, Pod, pod_from_object


class PodNews:
    """What was told of each pod last; belongs to one thread."""

    def __init__(self) -> None:
        self._told: dict[Key, Pod] = {}

    def listed(self, objects: Iterable[Object]) -> None:
        """A list was told: only what it holds is known from now on."""
        self._told.clear()
        for obj in objects:
            self.matters("ADDED", obj)

    def matters(self, event: str, obj: Object) -> bool:
        """Whether this change gives or takes a name; what cannot be read is for others to complain about."""
        try:
            key = obj["metadata"]["namespace"], obj["metadata"]["name"]
            pod = pod_from_object(obj) if event != "DELETED" else None
        except (KeyError, TypeError, ValueError, AttributeError):
            self._forget(obj)
            return True
        before = self._told.pop(key, None)
        if pod is not None:
            self._told[key] = pod
        return pod != before

    def _forget(self, obj: Object) -> None:
        """A pod that cannot be read any more has no name: the same one as before would be news again."""
        metadata = obj.get("metadata") if isinstance(obj, dict) else None
        if isinstance(metadata, dict):
            self._told.pop((str(metadata.get("namespace")), str(metadata.get("name"))), None)
