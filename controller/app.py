"""The SDN controller as a service: watches the API, compiles, programs the bridges, publishes what is realised.

Threads: an informer per kind, one that compiles, a writer per bridge, one that publishes, one that complains, and the
framework's own.
Of packets only the first ones of connections to Services with the algorithm `round-robin` come here (`turns`), and,
while somebody logs them, copies of what policies deny (`policylog`).
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from controller import framework
from controller.complaining import Complainer, Findings
from controller.generations import Completeness
from controller.policylog import Lease, Names, PolicyLog
from controller.policysources import PolicySources
from controller.sdn_controller import Controller, Realised
from kubinet import collector
from kubinet.client import Client
from kubinet.connectioncounts import KIND as CONNECTION_COUNT
from kubinet.connectioncounts import NAME as CONNECTION_COUNT_NAME
from kubinet.connectioncounts import ConnectionCache
from kubinet.errors import ApiError, KubinetError
from kubinet.informer import Informer
from kubinet.kubernetes import StateReader
from kubinet.pace import pause
from kubinet.service import ServiceContext
from kubinet.serviceobjects import ServiceCache

_LOG = logging.getLogger(__name__)
_SYNC_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 0.5
NAME: Final = "cluster"
"""The name of the one Topology and the one Dataplane object."""


class Signal:
    """Says "look again" to one thread; any number of calls between two looks count once."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Look again."""
        self._event.set()

    def take(self) -> None:
        """Wait for the next `set`."""
        self._event.wait()
        self._event.clear()


class Watcher:
    """The cluster's state, live: gives it to the controller after every change."""

    def __init__(
        self,
        client: Client,
        controller: Controller,
        *,
        log: PolicyLog | None = None,
        informer: Callable[..., Informer] = Informer,
    ) -> None:
        """`log`: is told whom denied packets are about. `informer`: makes one, with the arguments of `Informer`."""
        self._controller = controller
        self._log = log
        self._dirty = Signal()
        self._lease = Lease(self._dirty.set)
        self._reader = StateReader()
        self._client = client
        self._informer = partial(informer, client, on_change=self._dirty.set)
        self._topologies = self._informer("Topology")
        self._nodes = self._informer("Node")
        self._services = self._informer("Service")
        self._slices = self._informer("EndpointSlice")
        self._connections = self._informer(CONNECTION_COUNT)
        self._service_cache = ServiceCache()
        self._connection_cache = ConnectionCache()
        self._completeness = Completeness()
        self._complainer = Complainer(client)

    def start(self) -> None:
        """Watch from now on; returns when the first lists are there, so that no bridge gets half a state."""
        self._topologies.start().wait_synced(_SYNC_SECONDS)
        # The API answers by now, and says which kinds of policies it serves.
        self._policies = PolicySources(self._client.serves, self._informer)
        self._pods = self._informer("Pod", changes_of=self._policies.kinds)
        others = (self._nodes, self._services, self._slices, self._connections, self._pods, *self._policies.informers)
        for informer in others:
            informer.start()
        for informer in others:
            informer.wait_synced(_SYNC_SECONDS)
        self._complainer.start()
        threading.Thread(target=self._run, name="compile", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._dirty.take()
            began = time.monotonic()
            try:
                self._look()
            except Exception:
                # One bad round must not end the controller: the next change gives it another try.
                _LOG.exception("the cluster's state cannot be compiled")
            time.sleep(pause(began))

    def _look(self) -> None:
        topology = self._topologies.snapshot().get(NAME)
        if topology is None:
            return
        pods = self._pods.moment()
        policies = self._policies.take()
        generation, policy_generation = self._completeness.of(pods.version, pods.changes, policies.versions)
        state = self._reader.read(
            topology,
            self._nodes.snapshot().values(),
            pods.objects.values(),
            generation,
            policies.namespaces.values(),
            policies.policies.values(),
        )
        slices, endpoint_generation = self._slices.view()
        services, service_generation = self._services.view()
        state = replace(
            state,
            services=self._service_cache.services(services, slices, state.network.load_balancer),
            connections=self._connection_cache.counts(self._connections.snapshot().get(CONNECTION_COUNT_NAME)),
            endpoint_generation=endpoint_generation,
            service_generation=service_generation,
            policy_generation=policy_generation,
            log_denied=self._lease.runs(topology),
            topology_generation=int(topology["metadata"].get("resourceVersion", 0)),
        )
        self._controller.update(state)
        if self._log is not None and state.log_denied:
            self._log.name(Names.of(state, self._controller.deciders()))
        complaints = tuple(self._controller.complaints(state))
        self._complainer.look(Findings(state, complaints, services, policies.policies, pods.objects))


class Publisher:
    """Writes what is realised to the object `Dataplane/cluster`; one write at a time, always the newest facts."""

    def __init__(self, client: Client) -> None:
        self._client = client.clone()
        self._news = Signal()
        self._published: dict[str, Any] = {}

    def changed(self) -> None:
        """A bridge realised something."""
        self._news.set()

    def start(self, controller: Controller) -> None:
        """Publish from now on."""
        threading.Thread(target=self._run, args=(controller,), name="publish", daemon=True).start()

    def _run(self, controller: Controller) -> None:
        while True:
            self._news.take()
            nodes = {name: _to_wire(realised) for name, realised in controller.realised().items()}
            changes: dict[str, Any] = {name: new for name, new in nodes.items() if self._published.get(name) != new}
            changes |= dict.fromkeys(self._published.keys() - nodes.keys())
            if not changes:
                continue
            began = time.monotonic()
            try:
                self._write(changes)
                self._published = nodes
                time.sleep(pause(began))
            except KubinetError as error:
                _LOG.warning("what is realised cannot be published: %s; trying again", error)
                self._news.set()
                time.sleep(_RETRY_SECONDS)  # rate limit of retries, not a wait for a fact

    def _write(self, changes: dict[str, Any]) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        stamped = {name: None if facts is None else {**facts, "time": now} for name, facts in changes.items()}
        patch = {"status": {"nodes": stamped}}
        try:
            self._client.patch("Dataplane", NAME, patch, subresource="status")
        except ApiError as error:
            if error.status != 404:
                raise
            dataplane = {"apiVersion": "kubinet.dev/v1", "kind": "Dataplane", "metadata": {"name": NAME}}
            self._client.create(dataplane)
            self._client.patch("Dataplane", NAME, patch, subresource="status")


def _to_wire(realised: Realised) -> dict[str, Any]:
    return {
        "generation": realised.generation,
        "endpointGeneration": realised.endpoint_generation,
        "serviceGeneration": realised.service_generation,
        "policyGeneration": realised.policy_generation,
        "topologyGeneration": realised.topology_generation,
        "flows": sum(realised.flows.values()),
        "groups": realised.groups,
        "bridges": {bridge: {"flows": number} for bridge, number in realised.flows.items()},
        "errors": realised.errors,
        "lastError": realised.last_error,
    }


def serve(context: ServiceContext) -> None:
    """Run the SDN controller until the process ends."""
    name = framework.choose(context.options.get("controller-framework"))
    client = Client(context.api_url, context.token)
    publisher, log = Publisher(client), PolicyLog(context.state_dir)
    controller = Controller(publisher.changed, on_denied=log.packet)
    publisher.start(controller)
    log.start()
    Watcher(client, controller, log=log).start()
    wanted = int(context.options.get("controller-port", framework.OPENFLOW_PORT))
    port = framework.start(name, controller, port=wanted)
    context.ready({"framework": name, "port": port})
    collector.search_rarely()
    threading.Event().wait()
