"""An agent in the role of all nodes: what is bound runs and is ready, what shall end is gone."""

import threading

from kubinet.client import Client, Object
from kubinet.errors import ApiError, KubinetError

READY = "True"


class FakeAgent:
    """Watches pods in a thread until it is closed; pods whose image is `broken` never get ready."""

    def __init__(self, client: Client, nodes: tuple[str, ...]) -> None:
        self._client = client
        self._closed = threading.Event()
        for name in nodes:
            status = {"conditions": [{"type": "Ready", "status": "True"}]}
            client.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status})
        self._watcher = client.clone()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                for event in self._watcher.watch("pods", timeout=30):
                    if self._closed.is_set():
                        return
                    if event.type in ("ADDED", "MODIFIED"):
                        self._act(event.object)
            except KubinetError:
                if self._closed.is_set():
                    return

    def _act(self, pod: Object) -> None:
        metadata, spec = pod["metadata"], pod["spec"]
        name, namespace = metadata["name"], metadata["namespace"]
        try:
            if metadata.get("deletionTimestamp"):
                self._client.delete("pods", name, namespace, grace_period=0)
            elif spec.get("nodeName") and pod["status"]["phase"] == "Pending":
                self._client.patch("pods", name, {"status": self._status(spec)}, namespace, subresource="status")
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    @staticmethod
    def _status(spec: Object) -> Object:
        image = spec["containers"][0]["image"]
        ends = spec["restartPolicy"] == "Never"
        ready = not ends and image != "broken"
        state = {"terminated": {"exitCode": int(image == "broken")}} if ends else {"running": {}}
        container = {"name": spec["containers"][0]["name"], "ready": ready, "restartCount": 0, "image": image}
        return {
            "phase": ("Failed" if image == "broken" else "Succeeded") if ends else "Running",
            "containerStatuses": [{**container, "imageID": "", "state": state}],
            "conditions": [
                {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"},
                {"type": "PodScheduled", "status": "True"},
            ],
        }

    def close(self) -> None:
        """Stop; the watch ends with the server."""
        self._closed.set()
        self._client.close()
