"""Events for what of a Service and its pods does not fit together. Lives on the API's event loop."""

import asyncio
import logging
from typing import Final, Literal

from controller.api.objects import Objects
from controller.api.registry import SERVICE
from controller.api.status import Object, StatusError
from controller.api.store import Key
from controller.api.validation.addresses import parsed
from controller.workloads.endpoints import PodFacts, ServiceFacts, ports_of, weight
from controller.workloads.events import record
from controller.workloads.selecting import Selection

_LOG: Final = logging.getLogger(__name__)
_PATIENCE_SECONDS: Final = 10.0
"""Services are often made before their pods: only one that stays without any is told."""


class SelectionNews:
    """Tells a Service's owner of weights that are none, target ports that a pod has not, selectors without pods.

    And of an ExternalName that is an address.
    """

    def __init__(
        self, objects: Objects, selection: Selection, component: str, *, patience: float = _PATIENCE_SECONDS
    ) -> None:
        """`patience`: seconds until a selector that matches nothing is told."""
        self._objects = objects
        self._selection = selection
        self._component = component
        self._patience = patience
        self._told: dict[Key, set[tuple[int | str, str]]] = {}
        """Target ports, with the protocol, that were told."""
        self._waiting: dict[Key, asyncio.TimerHandle] = {}

    def forget(self, key: Key) -> None:
        """The Service is another one or gone."""
        self._told.pop(key, None)
        if (timer := self._waiting.pop(key, None)) is not None:
            timer.cancel()

    def service(self, service: Object) -> None:
        """A Service that is new or another one now; the store is not written to before the caller is done."""
        name = service["spec"].get("externalName") or ""
        if service["spec"].get("type") != "ExternalName" or parsed(name.removesuffix(".")) is None:
            return
        key = service["metadata"]["namespace"], service["metadata"]["name"]
        message = (
            f"spec.externalName {name} is an address: DNS has no record for it, so the Service does not resolve; "
            "use a Service without selector and an EndpointSlice with the address"
        )
        asyncio.get_running_loop().call_soon(self._record, key, "ExternalNameIsAddress", message, "Warning")

    def pod(self, key: Key, service: ServiceFacts, pod: PodFacts) -> None:
        """A pod that the Service selects."""
        try:
            weight(pod.weight)
        except ValueError as error:
            self._record(key, "InvalidWeight", f"Pod {pod.name}: {error}", "Warning")
        if not pod.address:
            return
        there = {(port.name, port.protocol) for port in ports_of(service, pod)}
        for port in service.ports:
            target = (port.target, port.protocol)
            # Once for each target: a Deployment of a thousand pods makes one mistake.
            if (port.name, port.protocol) in there or target in self._told.setdefault(key, set()):
                continue
            self._told[key].add(target)
            message = (
                f"port {port.port}: no {port.protocol} port of Pod {pod.name}'s containers has the name "
                f"{port.target!r} (targetPort): the pod gets no connections there"
            )
            self._record(key, "NoTargetPort", message, "Warning")

    def selected(self, key: Key, *, nobody: bool) -> None:
        """Whether the Service selects nobody now."""
        if not nobody:
            if (timer := self._waiting.pop(key, None)) is not None:
                timer.cancel()
        elif key not in self._waiting:
            self._waiting[key] = asyncio.get_running_loop().call_later(self._patience, self._nobody, key)

    def _nobody(self, key: Key) -> None:
        # The timer stays known, so that this is told once until a pod comes.
        service = self._selection.services.get(key)
        if service is None or self._selection.selects_any(service):
            return
        labels = ",".join(f"{name}={value}" for name, value in service.selector)
        what = "its name does not exist" if service.headless else "connections are refused"
        self._record(key, "NoPods", f"no pod has the labels {labels}: {what} until one has", "Normal")

    def _record(self, key: Key, reason: str, message: str, kind: Literal["Normal", "Warning"]) -> None:
        try:
            about = self._objects.get(SERVICE, *key).object
            record(self._objects, about, reason, message, component=self._component, kind=kind)
        except StatusError as error:
            # Events are a service to people, and the Service may be gone meanwhile: work goes on.
            _LOG.debug("event %s about Service %s: %s", reason, "/".join(key), error)

    def close(self) -> None:
        """Tell no more."""
        for timer in self._waiting.values():
            timer.cancel()
