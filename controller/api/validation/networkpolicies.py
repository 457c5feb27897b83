"""NetworkPolicy (networking.k8s.io/v1)."""

from controller.api.status import Cause, Object
from controller.api.validation.blocks import block_warnings
from controller.api.validation.causes import (
    PORT_RANGE,
    forbidden,
    invalid,
    not_supported,
    port_number,
    required,
)
from controller.api.validation.names import label_selector, port_name
from kubinet.cidrs import Network, legacy_cidr

_PROTOCOLS = ("SCTP", "TCP", "UDP")


def network_policy(new: Object, old: Object | None) -> list[Cause]:  # noqa: ARG001 - one signature for all kinds
    """Selectors, peers, ports, policy types."""
    spec = new.get("spec") or {}
    found = label_selector("spec.podSelector", spec.get("podSelector"))
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            where = f"spec.{direction}[{index}]"
            for position, port in enumerate(rule.get("ports") or ()):
                found += _port(f"{where}.ports[{position}]", port)
            for position, peer in enumerate(rule.get(peers) or ()):
                found += _peer(f"{where}.{peers}[{position}]", peer)
    types = spec.get("policyTypes") or ()
    if len(types) > 2:
        found.append(invalid("spec.policyTypes", types, "may not specify more than two policyTypes"))
    for index, word in enumerate(types):
        if word not in ("Ingress", "Egress"):
            found.append(not_supported(f"spec.policyTypes[{index}]", word, ("Egress", "Ingress")))
    return found


def _port(field: str, port: Object) -> list[Cause]:
    found: list[Cause] = []
    if port.get("protocol") not in _PROTOCOLS:
        found.append(not_supported(f"{field}.protocol", port.get("protocol"), _PROTOCOLS))
    value, end = port.get("port"), port.get("endPort")
    if isinstance(value, int):
        found += port_number(f"{field}.port", value)
        if end is not None and end < value:
            found.append(invalid(f"{field}.endPort", end, "must be greater than or equal to `port`"))
        if end is not None and end > 65535:
            found.append(invalid(f"{field}.endPort", end, PORT_RANGE))
    elif isinstance(value, str):
        if why := port_name(value):
            found.append(invalid(f"{field}.port", value, why))
        if end is not None:
            found.append(invalid(f"{field}.endPort", end, "may not be specified when `port` is non-numeric"))
    elif end is not None:
        found.append(invalid(f"{field}.endPort", end, "may not be specified when `port` is not specified"))
    return found


def _peer(field: str, peer: Object) -> list[Cause]:
    found: list[Cause] = []
    for key in ("podSelector", "namespaceSelector"):
        if key in peer:
            found += label_selector(f"{field}.{key}", peer[key])
    if "ipBlock" in peer:
        found += _block(f"{field}.ipBlock", peer["ipBlock"])
        if "podSelector" in peer or "namespaceSelector" in peer:
            found.append(forbidden(field, "may not specify both ipBlock and another peer"))
    elif "podSelector" not in peer and "namespaceSelector" not in peer:
        found.append(required(field, "must specify a peer"))
    return found


_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def _network(text: str) -> Network | None:
    try:
        return legacy_cidr(text)
    except ValueError:
        return None


def _block(field: str, block: Object) -> list[Cause]:
    cidr = block.get("cidr") or ""
    if not cidr:
        return [required(f"{field}.cidr")]
    outer = _network(cidr)
    if outer is None:
        return [invalid(f"{field}.cidr", cidr, _CIDR)]
    found: list[Cause] = []
    for index, text in enumerate(block.get("except") or ()):
        where = f"{field}.except[{index}]"
        inner = _network(text)
        if inner is None:
            found.append(invalid(where, text, _CIDR))
        elif inner.version != outer.version or inner == outer or not inner.subnet_of(outer):  # type: ignore[arg-type]
            found.append(invalid(where, text, f"must be a strict subset of `cidr`: {cidr!r}".replace("'", '"')))
    return found


def network_policy_warnings(obj: Object) -> list[str]:
    """What in an accepted version has no effect, or another one than it seems to."""
    spec = obj["spec"]
    types = spec["policyTypes"]
    found: list[str] = []
    for kind, direction, peers in (("Ingress", "ingress", "from"), ("Egress", "egress", "to")):
        rules = spec.get(direction) or ()
        if rules and kind not in types:
            found.append(f"spec.{direction} is ignored: spec.policyTypes does not have {kind}")
            continue
        for index, rule in enumerate(rules):
            for position, peer in enumerate(rule.get(peers) or ()):
                if "ipBlock" in peer:
                    found += _block_warnings(f"spec.{direction}[{index}].{peers}[{position}].ipBlock", peer["ipBlock"])
    return found


def _block_warnings(field: str, block: Object) -> list[str]:
    outer = legacy_cidr(block["cidr"])
    found = block_warnings(f"{field}.cidr", block["cidr"], outer)
    if outer.version == 6:
        return found
    for index, text in enumerate(block.get("except") or ()):
        found += block_warnings(f"{field}.except[{index}]", text, legacy_cidr(text))
    return found
