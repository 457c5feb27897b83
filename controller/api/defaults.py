"""Defaulting as upstream does it, so that what clients read back is complete. Each function changes its object."""

import base64
from typing import Any

from controller.api.servicefields import externally_accessible, needs_cluster_ip
from controller.api.status import Object


def _set(obj: Object, key: str, value: Any) -> None:
    # Decoded protobuf has "" and 0 where a field is unset.
    if obj.get(key) in (None, ""):
        obj[key] = value


def namespace(obj: Object) -> None:
    """Label with the name, finalizer, phase."""
    metadata = obj["metadata"]
    metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata["name"]
    obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    obj.setdefault("status", {}).setdefault("phase", "Active")


def node(obj: Object) -> None:
    """The host name label, as a kubelet sets it; spec and status always there."""
    labels = obj["metadata"].setdefault("labels", {})
    labels.setdefault("kubernetes.io/hostname", obj["metadata"]["name"])
    obj.setdefault("spec", {})
    obj.setdefault("status", {})


def event(obj: Object) -> None:
    """Empty source and no first time are left out of what people read."""
    _set(obj, "type", "Normal")


def secret(obj: Object) -> None:
    """Type Opaque; stringData moves to data."""
    _set(obj, "type", "Opaque")
    text = obj.pop("stringData", None)
    if text:
        data = obj["data"] = dict(obj.get("data") or {})
        for key, value in text.items():
            data[key] = base64.b64encode(value.encode()).decode()


def _probe(probe: Object) -> None:
    for key, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        if not probe.get(key):
            probe[key] = value
    _http_get(probe)


def _http_get(handler: Object) -> None:
    if "httpGet" in handler:
        _set(handler["httpGet"], "path", "/")
        _set(handler["httpGet"], "scheme", "HTTP")


def _container(container: Object) -> None:
    image = container.get("image") or ""
    tag = image.rpartition("/")[2]
    latest = "@" not in image and (":" not in tag or tag.endswith(":latest"))
    _set(container, "imagePullPolicy", "Always" if latest else "IfNotPresent")
    _set(container, "terminationMessagePath", "/dev/termination-log")
    _set(container, "terminationMessagePolicy", "File")
    container.setdefault("resources", {})
    for port in container.get("ports") or ():
        _set(port, "protocol", "TCP")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(name):
            _probe(container[name])
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _http_get(hook)
    for variable in container.get("env") or ():
        field = (variable.get("valueFrom") or {}).get("fieldRef")
        if field:
            _set(field, "apiVersion", "v1")


_FILE_MODE = 0o644


def _volume(volume: Object) -> None:
    for name in ("configMap", "secret", "downwardAPI", "projected"):
        if isinstance(volume.get(name), dict):
            volume[name].setdefault("defaultMode", _FILE_MODE)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}


def pod_spec(spec: Object) -> None:
    """A PodSpec of a pod or a template."""
    _set(spec, "restartPolicy", "Always")
    _set(spec, "dnsPolicy", "ClusterFirst")
    _set(spec, "schedulerName", "default-scheduler")
    if spec.get("terminationGracePeriodSeconds") is None:
        spec["terminationGracePeriodSeconds"] = 30
    spec.setdefault("securityContext", {})
    if spec.get("serviceAccount") and not spec.get("serviceAccountName"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for group in ("initContainers", "containers"):
        for container in spec.get(group) or ():
            _container(container)
    for volume in spec.get("volumes") or ():
        _volume(volume)


_NOT_READY = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def _qos_class(spec: Object) -> str:
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    resources = [container.get("resources") or {} for container in containers]
    if not any(entry.get("requests") or entry.get("limits") for entry in resources):
        return "BestEffort"
    for entry in resources:
        limits, requests = entry.get("limits") or {}, entry.get("requests") or {}
        if {"cpu", "memory"} - set(limits) or any(requests.get(key) != limits[key] for key in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"


def _pod_only(spec: Object) -> None:
    # Templates stay without these, as upstream: what is compared there is what the user wrote.
    spec.setdefault("enableServiceLinks", True)
    for group in ("initContainers", "containers"):
        for container in spec.get(group) or ():
            resources = container["resources"]
            if resources.get("limits"):
                resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}
            if spec.get("hostNetwork"):
                for port in container.get("ports") or ():
                    port.setdefault("hostPort", port["containerPort"])


def pod(obj: Object) -> None:
    """A pod, with what admission adds (service account, default tolerations, priority) and its first status."""
    spec = obj.setdefault("spec", {})
    pod_spec(spec)
    _pod_only(spec)
    _set(spec, "serviceAccountName", "default")
    spec["serviceAccount"] = spec["serviceAccountName"]
    spec.setdefault("priority", 0)
    _set(spec, "preemptionPolicy", "PreemptLowerPriority")
    tolerations = spec["tolerations"] = list(spec.get("tolerations") or ())
    for key in _NOT_READY:
        if not any(t.get("key") in (key, None, "") and t.get("effect") in (None, "", "NoExecute") for t in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    status = obj.setdefault("status", {})
    status.setdefault("phase", "Pending")
    status.setdefault("qosClass", _qos_class(spec))


_SERVICE_OPTIONAL = (
    "clusterIP", "loadBalancerIP", "externalName", "externalTrafficPolicy", "internalTrafficPolicy", "ipFamilyPolicy",
    "healthCheckNodePort",
)  # fmt: skip


def service(obj: Object) -> None:
    """Type, session affinity, protocols, target ports, IP families, traffic policies."""
    spec = obj.setdefault("spec", {})
    for key in [key for key in _SERVICE_OPTIONAL if spec.get(key, "absent") in ("", 0)]:
        del spec[key]
    _set(spec, "type", "ClusterIP")
    _set(spec, "sessionAffinity", "None")
    if spec["sessionAffinity"] == "ClientIP":
        config = spec["sessionAffinityConfig"] = dict(spec.get("sessionAffinityConfig") or {})
        config["clientIP"] = {"timeoutSeconds": 10800, **(config.get("clientIP") or {})}
    else:
        spec.pop("sessionAffinityConfig", None)  # as upstream: who switches to None need not clear it
    for port in spec.get("ports") or ():
        _set(port, "protocol", "TCP")
        if port.get("targetPort") in (None, "", 0):
            port["targetPort"] = port.get("port", 0)
        if not port.get("nodePort"):
            port.pop("nodePort", None)
    if needs_cluster_ip(spec):
        _set(spec, "internalTrafficPolicy", "Cluster")
        _set(spec, "ipFamilyPolicy", "SingleStack")
        if not spec.get("ipFamilies"):
            spec["ipFamilies"] = ["IPv4"]
    if externally_accessible(spec):
        _set(spec, "externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is None:
        spec["allocateLoadBalancerNodePorts"] = True
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    obj.setdefault("status", {}).setdefault("loadBalancer", {})


def endpoint_slice(obj: Object) -> None:
    """Ports have a name and a protocol."""
    for port in obj.get("ports") or ():
        _set(port, "protocol", "TCP")
        port.setdefault("name", "")


def endpoints(obj: Object) -> None:
    """Ports have a protocol."""
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            _set(port, "protocol", "TCP")


def network_policy(obj: Object) -> None:
    """Ports' protocol; policyTypes from what the spec has; an absent pod selector is the one that selects every pod."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    for rule in [*(spec.get("ingress") or ()), *(spec.get("egress") or ())]:
        for port in rule.get("ports") or ():
            _set(port, "protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress"] + (["Egress"] if spec.get("egress") else [])
