"""Services, EndpointSlices and Endpoints that are wrong are refused in upstream's words; what has no effect is told."""

from typing import Any

import pytest

from controller.api.objects import Objects
from controller.api.registry import ENDPOINT_SLICE, ENDPOINTS, SERVICE, Kind
from controller.api.status import StatusError
from controller.api.store import Store
from controller.api.validation import endpoint_slice_warnings, endpoints_warnings, service_warnings
from controller.workloads.namespaces import ensure_defaults

PORT = {"port": 80}
NP, LB, EXT = {"type": "NodePort"}, {"type": "LoadBalancer"}, {"type": "ExternalName"}
ADDRESS_TEXT = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
BALANCER_TEXT = "Forbidden: may only be used when `type` is 'LoadBalancer'"
RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"


def _refusal(kind: Kind, obj: dict[str, Any]) -> dict[str, str]:
    """Field -> message."""
    objects = Objects(Store())
    ensure_defaults(objects)
    with pytest.raises(StatusError) as caught:
        objects.create(kind, "default", {**obj, "metadata": {"name": "a", **obj.get("metadata", {})}})
    assert caught.value.code == 422
    return {cause["field"]: cause["message"] for cause in caught.value.details["causes"]}


@pytest.mark.parametrize(
    ("spec", "field", "text"),
    [
        ({"ports": []}, "ports", "Required value"),
        ({"ports": [{"port": 0}]}, "ports[0].port", "Invalid value: 0: must be between 1 and 65535, inclusive"),
        ({"ports": [{"port": 65536}]}, "ports[0].port", "Invalid value: 65536: must be between 1 and 65535, inclusive"),
        ({"ports": [PORT, {"port": 81}]}, "ports[0].name", "Required value"),
        ({"ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "a"}]}, "ports[1].name", 'Duplicate value: "a"'),
        (
            {"ports": [{"port": 1, "name": "a"}, {"port": 1, "name": "b"}]},
            "ports[1]",
            'Duplicate value: {"port":1,"protocol":"TCP"}',
        ),
        (
            {"ports": [{"port": 1, "protocol": "ICMP"}]},
            "ports[0].protocol",
            'Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"',
        ),
        (
            {"ports": [{"port": 1, "targetPort": "a--b"}]},
            "ports[0].targetPort",
            'Invalid value: "a--b": must not contain consecutive hyphens',
        ),
        (
            {"ports": [{"port": 1, "nodePort": 30001}]},
            "ports[0].nodePort",
            "Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            {
                **NP,
                "ports": [{"port": 1, "name": "a", "nodePort": 30001}, {"port": 2, "name": "b", "nodePort": 30001}],
            },
            "ports[1].nodePort",
            "Duplicate value: 30001",
        ),
        (
            {**LB, "ports": [{"port": 10250}]},
            "ports[0]",
            "Invalid value: 10250: may not expose port 10250 externally since it is used by kubelet",
        ),
        (
            {**NP, "clusterIP": "None"},
            "clusterIPs[0]",
            "Invalid value: \"None\": may not be set to 'None' for NodePort services",
        ),
        ({"clusterIP": "010.96.0.7"}, "clusterIPs[0]", f'Invalid value: "010.96.0.7": {ADDRESS_TEXT}'),
        (
            {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.8"]},
            "clusterIPs",
            'Invalid value: ["10.96.0.8"]: first value must match `clusterIP`',
        ),
        (
            {"clusterIPs": ["10.96.0.8"]},
            "clusterIPs",
            'Invalid value: ["10.96.0.8"]: must be empty when `clusterIP` is not specified',
        ),
        (EXT, "externalName", "Required value"),
        ({**EXT, "externalName": "x.y", "clusterIP": "10.96.0.7"}, "clusterIPs", "Forbidden: may not be set for"),
        ({"externalIPs": ["192.0.2.07"]}, "externalIPs[0]", f'Invalid value: "192.0.2.07": {ADDRESS_TEXT}'),
        ({"externalIPs": ["127.0.0.1"]}, "externalIPs[0]", 'Invalid value: "127.0.0.1": may not be in the loopback'),
        ({"externalIPs": ["169.254.1.1"]}, "externalIPs[0]", 'Invalid value: "169.254.1.1": may not be in the link-'),
        ({"externalIPs": ["0.0.0.0"]}, "externalIPs[0]", 'Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)'),
        ({"externalIPs": ["224.0.0.9"]}, "externalIPs[0]", 'Invalid value: "224.0.0.9": may not be in the link-local'),
        (
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}},
            "sessionAffinityConfig.clientIP.timeoutSeconds",
            "Invalid value: 86401: must be greater than 0 and less than 86400",
        ),
        (
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}},
            "sessionAffinityConfig.clientIP.timeoutSeconds",
            "Invalid value: 0: must be greater than 0 and less than 86400",
        ),
        ({"loadBalancerSourceRanges": ["10.0.0.0/8"]}, "loadBalancerSourceRanges", BALANCER_TEXT),
        (
            {**LB, "loadBalancerSourceRanges": ["10.0.0.0/8", "10.0.0.1"]},
            "loadBalancerSourceRanges[1]",
            'Invalid value: "10.0.0.1": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
        ),
        (
            {**LB, "loadBalancerSourceRanges": ["10.0.0.0/255.0.0.0"]},
            "loadBalancerSourceRanges[0]",
            'Invalid value: "10.0.0.0/255.0.0.0": must be a valid CIDR value',
        ),
        (
            {**LB, "loadBalancerSourceRanges": ["2001:db8::/64"]},
            "loadBalancerSourceRanges[0]",
            'Invalid value: "2001:db8::/64": this cluster has IPv4 only',
        ),
        ({"allocateLoadBalancerNodePorts": False}, "allocateLoadBalancerNodePorts", BALANCER_TEXT),
        ({"loadBalancerClass": "x/y"}, "loadBalancerClass", BALANCER_TEXT),
        (
            {"externalTrafficPolicy": "Local"},
            "externalTrafficPolicy",
            'Invalid value: "Local": may only be set for externally-accessible services',
        ),
        (
            {**NP, "externalTrafficPolicy": "Near"},
            "externalTrafficPolicy",
            'Unsupported value: "Near": supported values: "Cluster", "Local"',
        ),
        (
            {"internalTrafficPolicy": "Near"},
            "internalTrafficPolicy",
            'Unsupported value: "Near": supported values: "Cluster", "Local"',
        ),
        (
            {**NP, "externalTrafficPolicy": "Local", "healthCheckNodePort": 30001},
            "healthCheckNodePort",
            "Invalid value: 30001: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is",
        ),
        (
            {"trafficDistribution": "Near"},
            "trafficDistribution",
            'Unsupported value: "Near": supported values: "PreferClose", "PreferSameNode", "PreferSameZone"',
        ),
        ({"type": "Other"}, "type", 'Unsupported value: "Other": supported values: "ClusterIP", "ExternalName", "Load'),
        ({"sessionAffinity": "Other"}, "sessionAffinity", 'Unsupported value: "Other": supported values: "ClientIP"'),
        ({"selector": {"a b": "c"}}, "selector", 'Invalid value: "a b": name part must consist of'),
    ],
)
def test_refused_services(spec: dict[str, Any], field: str, text: str) -> None:
    """One broken rule, one cause with the field's path."""
    refused = _refusal(SERVICE, {"spec": {"ports": [dict(PORT)], **spec}})
    assert f"spec.{field}" in refused
    assert refused[f"spec.{field}"].startswith(text)


def test_refused_annotations() -> None:
    """An unknown algorithm is refused with the list of known ones; source ranges as an annotation are checked too."""
    spec = {"ports": [PORT]}
    assert _refusal(SERVICE, {"metadata": {"annotations": {"kubinet.dev/load-balancer": "best"}}, "spec": spec}) == {
        "metadata.annotations[kubinet.dev/load-balancer]": 'Unsupported value: "best": supported values: "hash", '
        '"random", "round-robin", "weighted", "maglev", "least-connections", "source-hash"'
    }
    field = f"metadata.annotations[{RANGES}]"
    refused = _refusal(SERVICE, {"metadata": {"annotations": {RANGES: "10.0.0.0/8"}}, "spec": spec})
    assert refused == {field: BALANCER_TEXT}


@pytest.mark.parametrize(
    ("spec", "warning"),
    [
        ({}, ""),
        ({**EXT, "externalName": "192.0.2.7"}, "spec.externalName: 192.0.2.7 looks like an address"),
        ({**EXT, "externalName": "a.b", "selector": {"a": "b"}}, "spec.selector is ignored for ExternalName services"),
        ({"clusterIP": "None", "sessionAffinity": "ClientIP"}, "spec.SessionAffinity is ignored for headless services"),
        ({"clusterIP": "None", "externalIPs": ["192.0.2.7"]}, "spec.externalIPs is ignored for headless services"),
        ({"externalName": "a.b"}, "spec.externalName is ignored: the type is not ExternalName"),
        ({"loadBalancerIP": "172.31.0.7"}, "spec.loadBalancerIP is ignored: the type is not LoadBalancer"),
        ({"ipFamilyPolicy": "PreferDualStack"}, "spec.ipFamilyPolicy: PreferDualStack: this cluster has IPv4 only"),
        ({"externalIPs": ["2001:db8::1"]}, "spec.externalIPs[0]: 2001:db8::1 is ignored: this cluster has IPv4 only"),
        ({"publishNotReadyAddresses": True}, "spec.publishNotReadyAddresses is ignored: without spec.selector"),
        ({"trafficDistribution": "PreferClose"}, "spec.trafficDistribution is ignored: without spec.selector"),
    ],
)
def test_warnings_about_services(spec: dict[str, Any], warning: str) -> None:
    """What will have no effect is told, once; a Service that says nothing of that kind has no warnings."""
    objects = Objects(Store())
    ensure_defaults(objects)
    ports = {} if spec.get("type") == "ExternalName" else {"ports": [PORT]}
    stored = objects.create(SERVICE, "default", {"metadata": {"name": "a"}, "spec": {**ports, **spec}})
    warnings = service_warnings(stored.object)
    assert [text[: len(warning)] for text in warnings] == ([warning] if warning else [])


def test_annotations_without_effect_are_told() -> None:
    """Topology aware routing by annotation, and annotations of ours that Services do not have."""
    spec = {"type": "ClusterIP", "selector": {"a": "b"}}
    annotations = {"service.kubernetes.io/topology-mode": "Auto", "kubinet.dev/weight": "7", RANGES: "10.0.0.0/8"}
    assert service_warnings({"metadata": {"annotations": annotations}, "spec": spec}) == [
        "annotation kubinet.dev/weight has no effect on a Service; known here: kubinet.dev/load-balancer",
        f"annotation {RANGES} is ignored: use spec.loadBalancerSourceRanges",
        "annotation service.kubernetes.io/topology-mode is ignored: use spec.trafficDistribution",
    ]


@pytest.mark.parametrize("spec", [{"type": "ClusterIP", "clusterIP": "None"}, {"type": "ExternalName"}])
def test_an_algorithm_without_a_cluster_ip_is_told(spec: dict[str, Any]) -> None:
    """Nobody chooses for clients of a headless Service or an ExternalName."""
    annotations = {"kubinet.dev/load-balancer": "maglev"}
    warning = (
        "annotation kubinet.dev/load-balancer has no effect: the Service has no cluster IP, its name leads to others"
    )
    selecting = {**spec, "selector": {"a": "b"}} if "clusterIP" in spec else spec
    assert service_warnings({"metadata": {"annotations": annotations}, "spec": selecting}) == [warning]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"192.0.2.1":3,"192.0.2.2":0}', False),
        ("{}", False),
        ("3", True),
        ("foo", True),
        ('{"192.0.2.1":"3"}', True),
        ('{"192.0.2.1":true}', True),
        ('{"192.0.2.1":1001}', True),
        ('{"web-1":1}', True),
    ],
)
def test_weights_that_are_none_are_told(text: str, told: bool) -> None:
    """A hand-made slice's annotation is a JSON object of integers from 0 to 1000 by address."""
    labels = {"kubernetes.io/service-name": "a"}
    metadata = {"labels": labels, "annotations": {"kubinet.dev/weights": text}}
    warning = (
        "annotation kubinet.dev/weights is no JSON object of integers from 0 to 1000 by address, such as "
        '{"192.0.2.1":3}: endpoints without a weight count as 1'
    )
    assert endpoint_slice_warnings({"metadata": metadata, "addressType": "IPv4"}) == ([warning] if told else [])


@pytest.mark.parametrize(
    ("fields", "field", "text"),
    [
        ({"addressType": "MAC"}, "addressType", 'Unsupported value: "MAC": supported values: "FQDN", "IPv4", "IPv6"'),
        ({"endpoints": [{"addresses": []}]}, "endpoints[0].addresses", "Required value: must contain at least 1"),
        (
            {"endpoints": [{"addresses": ["2001:db8::1"]}]},
            "endpoints[0].addresses[0]",
            'Invalid value: "2001:db8::1": must be an IPv4 address',
        ),
        ({"endpoints": [{"addresses": ["127.0.0.1"]}]}, "endpoints[0].addresses[0]", 'Invalid value: "127.0.0.1": may'),
        ({"ports": [{"port": 0}]}, "ports[0].port", "Invalid value: 0: must be between 1 and 65535, inclusive"),
        ({"ports": [{"port": 1}, {"port": 2}]}, "ports[1].name", 'Duplicate value: ""'),
        (
            {"endpoints": [{"addresses": ["192.0.2.1"]}] * 1001},
            "endpoints",
            "Too many: 1001: must have at most 1000 items",
        ),
    ],
)
def test_refused_slices(fields: dict[str, Any], field: str, text: str) -> None:
    """Hand-made EndpointSlices are checked as upstream checks them."""
    refused = _refusal(ENDPOINT_SLICE, {"addressType": "IPv4", "endpoints": [], **fields})
    assert refused[field].startswith(text)


@pytest.mark.parametrize(
    ("subset", "field", "text"),
    [
        ({}, "subsets[0]", "Required value: must specify `addresses` or `notReadyAddresses`"),
        ({"addresses": [{"ip": "x"}]}, "subsets[0].addresses[0].ip", f'Invalid value: "x": {ADDRESS_TEXT}'),
        ({"addresses": [{"ip": "169.254.0.1"}]}, "subsets[0].addresses[0].ip", 'Invalid value: "169.254.0.1": may not'),
        (
            {"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 1}, {"port": 2}]},
            "subsets[0].ports[0].name",
            "Required value",
        ),
    ],
)
def test_refused_endpoints(subset: dict[str, Any], field: str, text: str) -> None:
    """Hand-made Endpoints are checked as upstream checks them."""
    assert _refusal(ENDPOINTS, {"subsets": [subset]})[field].startswith(text)


def test_warnings_about_endpoints() -> None:
    """Addresses of another family are stored and not acted on; a slice without its label belongs to nobody."""
    assert endpoint_slice_warnings({"metadata": {}, "addressType": "IPv6"}) == [
        "addressType IPv6 is stored and not acted on: this cluster has IPv4 only",
        "the EndpointSlice belongs to no Service: it has no label kubernetes.io/service-name",
    ]
    assert endpoints_warnings({"subsets": [{"addresses": [{"ip": "2001:db8::1"}, {"ip": "192.0.2.1"}]}]}) == [
        "2001:db8::1 is stored and not acted on: this cluster has IPv4 only"
    ]
