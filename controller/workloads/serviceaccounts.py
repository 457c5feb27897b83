"""What every namespace has: ServiceAccount `default`, and ConfigMap `kube-root-ca.crt` with the API's authority."""

from typing import Final

from controller.api.admission import ROOT_CA
from controller.api.objects import Objects
from controller.api.registry import CONFIG_MAP, NAMESPACE, SERVICE_ACCOUNT
from controller.api.status import Object
from controller.workloads.loop import Loop

_DEFAULT: Final = "default"
_ABOUT: Final = "Contains a CA bundle that can be used to verify the API server of this cluster."


class ServiceAccounts:
    """Makes them, and makes them again when someone deletes or changes them. Lives on the API's event loop."""

    def __init__(self, objects: Objects, authority: str) -> None:
        """`authority`: the certificate of the API's authority, PEM; empty for an API without TLS."""
        self._objects = objects
        self._authority = authority
        kinds = (NAMESPACE.key, SERVICE_ACCOUNT.key, CONFIG_MAP.key)
        self._loop = Loop(objects.store, kinds, self.run, name="service accounts")
        self.run()

    def run(self) -> None:
        """Look at every namespace that is not about to go."""
        for stored in self._objects.store.select(NAMESPACE.key):
            metadata = stored.object["metadata"]
            if not metadata.get("deletionTimestamp"):
                self._account(metadata["name"])
                if self._authority:
                    self._root_ca(metadata["name"])

    def _account(self, namespace: str) -> None:
        if self._objects.store.get(SERVICE_ACCOUNT.key, namespace, _DEFAULT) is None:
            self._objects.create(SERVICE_ACCOUNT, namespace, {"metadata": {"name": _DEFAULT}})

    def _root_ca(self, namespace: str) -> None:
        data = {"ca.crt": self._authority}
        stored = self._objects.store.get(CONFIG_MAP.key, namespace, ROOT_CA)
        if stored is None:
            annotations = {"kubernetes.io/description": _ABOUT}
            made: Object = {"metadata": {"name": ROOT_CA, "annotations": annotations}, "data": data}
            self._objects.create(CONFIG_MAP, namespace, made)
        elif stored.object.get("data") != data:
            self._objects.update(CONFIG_MAP, stored, stored.copy() | {"data": data})

    def close(self) -> None:
        """Stop."""
        self._loop.close()
