"""What a Service says that will have no effect, or not the one that its author may expect."""

from controller.api.servicefields import headless
from controller.api.status import Object
from controller.api.validation.addresses import parsed
from controller.api.validation.services import ALGORITHM, SOURCE_RANGES

_AWARE = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")
_NOT_HEADLESS = ("loadBalancerIP", "externalIPs")


def service_warnings(service: Object) -> list[str]:
    """Warnings about a version that was accepted."""
    spec = service["spec"]
    found = _external_name(spec) if spec["type"] == "ExternalName" else []
    if headless(spec):
        found += _headless(spec)
    if spec.get("loadBalancerIP") and spec["type"] != "LoadBalancer":
        found.append("spec.loadBalancerIP is ignored: the type is not LoadBalancer")
    if spec.get("ipFamilyPolicy") == "PreferDualStack":
        found.append("spec.ipFamilyPolicy: PreferDualStack: this cluster has IPv4 only: the Service is single-stack")
    for index, text in enumerate(spec.get("externalIPs") or ()):
        address = parsed(text)
        if address is not None and address.version == 6:
            found.append(f"spec.externalIPs[{index}]: {text} is ignored: this cluster has IPv4 only")
    if not spec.get("selector"):
        by_hand = [field for field in ("publishNotReadyAddresses", "trafficDistribution") if spec.get(field)]
        found += [
            f"spec.{field} is ignored: without spec.selector, EndpointSlices are made by hand" for field in by_hand
        ]
    if spec.get("externalName") and spec["type"] != "ExternalName":
        found.append("spec.externalName is ignored: the type is not ExternalName")
    annotations = service["metadata"].get("annotations") or {}
    ours = sorted(key for key in annotations if key.startswith("kubinet.dev/") and key != ALGORITHM)
    found += [f"annotation {key} has no effect on a Service; known here: {ALGORITHM}" for key in ours]
    if ALGORITHM in annotations and (headless(spec) or spec["type"] == "ExternalName"):
        found.append(f"annotation {ALGORITHM} has no effect: the Service has no cluster IP, its name leads to others")
    if SOURCE_RANGES in annotations:
        found.append(f"annotation {SOURCE_RANGES} is ignored: use spec.loadBalancerSourceRanges")
    aware = [key for key in _AWARE if annotations.get(key)]
    return found + [f"annotation {key} is ignored: use spec.trafficDistribution" for key in aware]


def _headless(spec: Object) -> list[str]:
    found = [f"spec.{field} is ignored for headless services" for field in _NOT_HEADLESS if spec.get(field)]
    if spec.get("sessionAffinity") == "ClientIP":
        found.append("spec.SessionAffinity is ignored for headless services")
    if spec.get("internalTrafficPolicy") == "Local":
        found.append("spec.internalTrafficPolicy is ignored for headless services")
    return found


def _external_name(spec: Object) -> list[str]:
    found = []
    if parsed((spec.get("externalName") or "").removesuffix(".")) is not None:
        name = spec["externalName"]
        found.append(
            f"spec.externalName: {name} looks like an address: clients get a CNAME of that name, which does not "
            "resolve; use a Service without selector and an EndpointSlice with the address"
        )
    for field in ("selector", "ports", "externalIPs", "loadBalancerIP"):
        if spec.get(field):
            found.append(f"spec.{field} is ignored for ExternalName services")
    return found
