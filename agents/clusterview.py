"""What pods of all nodes are told of the cluster: its services, and the authority of its API. Kept up to date."""

from collections.abc import Mapping
from typing import Any, Final

from agents.servicelinks import service_variables
from kubinet.client import Client
from kubinet.informer import Informer

Object = Mapping[str, Any]
ROOT_CA: Final = "kube-root-ca.crt"
"""The ConfigMap of every namespace that all its pods mount."""


class ClusterView:
    """Two informers; reading needs no request."""

    def __init__(self, client: Client) -> None:
        self._services = Informer(client, "Service")
        self._authorities = Informer(client, "ConfigMap", field_selector=f"metadata.name={ROOT_CA}")

    def start(self, timeout: float) -> None:
        """Begin, and wait for the first complete lists; DeadlineError after `timeout` seconds."""
        for informer in (self._services, self._authorities):
            informer.start()
        for informer in (self._services, self._authorities):
            informer.wait_synced(timeout)

    def stop(self) -> None:
        """End the watches."""
        self._services.stop()
        self._authorities.stop()

    def variables(self, namespace: str, *, links: bool) -> dict[str, str]:
        """The service variables of a pod's containers."""
        return service_variables(self._services.snapshot().values(), namespace, links=links)

    def authority(self, namespace: str) -> Object | None:
        """The namespace's ConfigMap `kube-root-ca.crt`; None when it has not been seen yet."""
        return self._authorities.snapshot().get(f"{namespace}/{ROOT_CA}")
