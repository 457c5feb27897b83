"""What the cluster gives to Services: clusterIPs and nodePorts, out of its ranges, each to one Service only.

There is no state beside the stored Services: who holds what is an index of them, so nothing leaks when a write fails,
and a restart finds everything as it was.
"""

import logging
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Final

from controller.api.objects import Objects
from controller.api.registry import SERVICE, TOPOLOGY, Kind
from controller.api.servicefields import headless, needs_cluster_ip, needs_health_port, needs_node_ports, node_ports
from controller.api.status import Object, StatusError, internal, invalid
from controller.api.store import Change, Store
from controller.api.validation import causes
from controller.api.validation.addresses import parsed
from controller.workloads import ranges
from kubinet.facts import network_from_document
from kubinet.state import NetworkConfig

_LOG: Final = logging.getLogger(__name__)
_API_SERVICE: Final = "default/kubernetes"
_API_OFFSET: Final = 1
_DNS_OFFSET: Final = 10
"""kube-dns, as most installations give it."""
_TAKEN: Final = "provided {} is already allocated"


def network_config(store: Store) -> NetworkConfig:
    """The network section of `Topology/cluster`, or the defaults before there is one."""
    stored = store.get(TOPOLOGY.key, "", "cluster")
    if stored is None:
        return NetworkConfig()
    try:
        return network_from_document((stored.object.get("spec") or {}).get("network") or {})
    except (ValueError, TypeError, AttributeError):
        _LOG.warning("Topology/cluster: its network section cannot be read; the defaults are used")
        return NetworkConfig()


def service_key(service: Object) -> str:
    """`namespace/name`."""
    return f"{service['metadata'].get('namespace', '')}/{service['metadata']['name']}"


class Allocation:
    """Gives addresses and ports to Services as they are written. One of `Objects.allocate`."""

    def __init__(self, objects: Objects) -> None:
        self._store = objects.store
        self._fill()
        self._stops = (
            self._store.listen(SERVICE.key, self._changed),
            self._store.listen(TOPOLOGY.key, self._network_changed),
        )
        objects.allocate.append(self.allocate)

    def _fill(self) -> None:
        self._network = network_config(self._store).service_cidr
        self._addresses = ranges.addresses(self._network, reserved=(_API_OFFSET, _DNS_OFFSET))
        self._ports = ranges.node_ports()
        for stored in self._store.select(SERVICE.key):
            self._note(stored.object, hold=True)

    def _network_changed(self, _change: Change) -> None:
        if network_config(self._store).service_cidr != self._network:
            self._fill()

    def _changed(self, change: Change) -> None:
        if change.old is not None:
            self._note(change.old.object, hold=False)
        if change.type != "DELETED":
            self._note(change.new.object, hold=True)

    def _note(self, service: Object, *, hold: bool) -> None:
        key = service_key(service)
        for address in _cluster_ips(service["spec"]):
            (self._addresses.hold if hold else self._addresses.release)(int(address), key)
        for number in {*node_ports(service["spec"]), service["spec"].get("healthCheckNodePort") or 0} - {0}:
            (self._ports.hold if hold else self._ports.release)(number, key)

    def allocate(self, kind: Kind, new: Object, old: Object | None) -> None:
        """Fill in what a Service needs and does not have; refuse what another one holds. Holds nothing itself."""
        if kind is not SERVICE:
            return
        spec: Object = new["spec"]
        before: Object = old["spec"] if old is not None else {}
        if needs_cluster_ip(spec):
            self._families(new)
            if not headless(spec):
                self._cluster_ip(new, before)
        if spec["type"] in ("NodePort", "LoadBalancer"):
            self._node_ports(new, set(node_ports(before)))
        if needs_health_port(spec) and spec.get("healthCheckNodePort", 0) != before.get("healthCheckNodePort"):
            self._health_port(new)

    def _families(self, service: Object) -> None:
        spec = service["spec"]
        found = [
            causes.invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster")
            for index, family in enumerate(spec["ipFamilies"])
            if family != "IPv4"
        ]
        if spec["ipFamilyPolicy"] == "RequireDualStack":
            why = "this cluster is not configured for dual-stack services"
            found.insert(0, causes.invalid("spec.ipFamilyPolicy", "RequireDualStack", why))
        elif len(spec.get("clusterIPs") or ()) > 1:
            why = "may only hold one value: this cluster is not configured for dual-stack services"
            found.append(causes.invalid("spec.clusterIPs", spec["clusterIPs"], why))
        if found:
            raise invalid("", "Service", service["metadata"]["name"], found)

    def _cluster_ip(self, service: Object, before: Object) -> None:
        spec, key = service["spec"], service_key(service)
        given = spec.get("clusterIP")
        if given and given == before.get("clusterIP"):
            return  # it is the Service's own, even if the range is another one now
        if not given:
            number = self._api_address(key)
            if number is None:
                number = self._addresses.choose()
            if number is None:
                raise internal("failed to allocate a serviceIP: range is full")
            spec["clusterIP"] = ranges.address_text(number)
            spec["clusterIPs"] = [spec["clusterIP"]]
            return
        number = int(IPv4Address(given))
        why = ""
        if number not in self._addresses.numbers:
            if key == _API_SERVICE:
                return  # whoever makes it knows the network before the object Topology/cluster is there
            why = f"the provided IP ({given}) is not in the valid range. The range of valid IPs is {self._network}"
        elif self._addresses.holder(number, key) is not None or self._kept_for_api(number, key):
            why = _TAKEN.format("IP")
        if why:
            cause = causes.invalid("spec.clusterIPs", spec["clusterIPs"], f"failed to allocate IP {given}: {why}")
            raise invalid("", "Service", service["metadata"]["name"], [cause])

    def _api_address(self, key: str) -> int | None:
        """The network's first address for the API's own Service."""
        number = int(self._network.network_address) + _API_OFFSET
        free = number in self._addresses.numbers and self._addresses.holder(number, key) is None
        return number if key == _API_SERVICE and free else None

    def _kept_for_api(self, number: int, key: str) -> bool:
        return key != _API_SERVICE and number == int(self._network.network_address) + _API_OFFSET

    def _node_ports(self, service: Object, held: set[int]) -> None:
        """As upstream: ports of one number in a Service (TCP and UDP) share their nodePort."""
        spec, key = service["spec"], service_key(service)
        asked = set(node_ports(spec))
        for index, port in enumerate(spec.get("ports") or ()):
            number = port.get("nodePort")
            if number and number not in held and (why := self._port_refusal(number, key)):
                raise _refused(service, f"spec.ports[{index}].nodePort", number, why)
        given: dict[int, int] = {port["port"]: port["nodePort"] for port in spec["ports"] if port.get("nodePort")}
        for port in spec["ports"]:
            if port.get("nodePort") or not needs_node_ports(spec):
                continue
            used = {(other["protocol"], other.get("nodePort")) for other in spec["ports"]}
            shared = given.get(port["port"])
            if shared is None or (port["protocol"], shared) in used:
                shared = self._free_port(asked, "nodePort")
            port["nodePort"] = given[port["port"]] = shared
            asked.add(shared)

    def _free_port(self, taken: set[int], what: str) -> int:
        number = self._ports.choose(taken)
        if number is None:
            raise internal(f"failed to allocate a {what}: range is full")
        return number

    def _health_port(self, service: Object) -> None:
        spec, key = service["spec"], service_key(service)
        number = spec.get("healthCheckNodePort")
        taken = set(node_ports(spec))
        if not number:
            spec["healthCheckNodePort"] = self._free_port(taken, "HealthCheck NodePort")
            return
        why = _TAKEN.format("port") if number in taken else self._port_refusal(number, key)
        if why:
            why = f"failed to allocate requested HealthCheck NodePort {number}: {why}"
            raise _refused(service, "spec.healthCheckNodePort", number, why)

    def _port_refusal(self, number: int, key: str) -> str:
        numbers = self._ports.numbers
        if number not in numbers:
            span = f"{numbers.start}-{numbers.stop - 1}"
            return f"provided port is not in the valid range. The range of valid ports is {span}"
        return _TAKEN.format("port") if self._ports.holder(number, key) is not None else ""

    def close(self) -> None:
        """Listen no more."""
        for stop in self._stops:
            stop()


def _refused(service: Object, field: str, value: int, why: str) -> StatusError:
    return invalid("", "Service", service["metadata"]["name"], [causes.invalid(field, value, why)])


def _cluster_ips(spec: Object) -> Iterator[IPv4Address]:
    if needs_cluster_ip(spec) and not headless(spec):
        for text in spec.get("clusterIPs") or ():
            if isinstance(address := parsed(text), IPv4Address):
                yield address
