"""Pod (v1): what kubelet and scheduler rely on, and that a running pod's spec stays what it was."""

import re
from typing import Any

from controller.api.status import Cause, Object
from controller.api.validation.causes import (
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    one_of,
    port_number,
    required,
)
from controller.api.validation.names import label, labels, port_name, selector_term, subdomain
from controller.api.validation.poddns import pod_dns
from controller.api.validation.probes import probes_and_hooks

_QUANTITY = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([KMGTPE]i|[mkMGTPEunµ]|[eE][+-]?\d+)?")
_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_QUANTITY_TEXT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_AFFINITY_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")


def pod(new: Object, old: Object | None) -> list[Cause]:
    """A new pod, or a change of one."""
    spec = new["spec"]
    found = pod_spec(spec)
    if old is not None:
        found += _change(spec, old["spec"])
    return found


def pod_spec(spec: Object, path: str = "spec") -> list[Cause]:
    """A PodSpec of a pod, or of the template at `path`."""
    found: list[Cause] = []
    volumes: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or ()):
        where = f"{path}.volumes[{index}].name"
        name = volume.get("name") or ""
        found += _name(where, name, volumes)
        if len(volume) > 2:
            found.append(forbidden(f"{path}.volumes[{index}]", "may not specify more than 1 volume type"))
    names: set[str] = set()
    if not spec.get("containers"):
        found.append(required(f"{path}.containers"))
    for group in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(group) or ()):
            found += _container(f"{path}.{group}[{index}]", container, names, volumes)
            found += probes_and_hooks(f"{path}.{group}[{index}]", container, spec["terminationGracePeriodSeconds"])
    found += _host_ports(spec, path)
    found += one_of(f"{path}.restartPolicy", spec["restartPolicy"], ("Always", "Never", "OnFailure"))
    found += pod_dns(spec, path)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and deadline < 1:
        why = "must be between 1 and 2147483647, inclusive"
        found.append(invalid(f"{path}.activeDeadlineSeconds", deadline, why))
    if spec["terminationGracePeriodSeconds"] < 0:
        value = spec["terminationGracePeriodSeconds"]
        found.append(invalid(f"{path}.terminationGracePeriodSeconds", value, "must be greater than or equal to 0"))
    for field, rule in (("nodeName", subdomain), ("hostname", label), ("subdomain", label)):
        if spec.get(field) and (why := rule(spec[field])):
            found.append(invalid(f"{path}.{field}", spec[field], why))
    found += labels(f"{path}.nodeSelector", spec.get("nodeSelector"))
    return found + _tolerations(spec, path) + _node_affinity(spec, path)


def _name(field: str, name: str, seen: set[str]) -> list[Cause]:
    if not name:
        return [required(field)]
    if why := label(name):
        return [invalid(field, name, why)]
    if name in seen:
        return [duplicate(field, name)]
    seen.add(name)
    return []


def _container(field: str, container: Object, names: set[str], volumes: set[str]) -> list[Cause]:
    found = _name(f"{field}.name", container.get("name") or "", names)
    image = container.get("image") or ""
    if not image:
        found.append(required(f"{field}.image"))
    elif image != image.strip():
        found.append(invalid(f"{field}.image", image, "must not have leading or trailing whitespace"))
    policies = ("Always", "IfNotPresent", "Never")
    found += one_of(f"{field}.imagePullPolicy", container["imagePullPolicy"], policies)
    port_names: set[str] = set()
    for index, port in enumerate(container.get("ports") or ()):
        found += _port(f"{field}.ports[{index}]", port, port_names)
    for index, variable in enumerate(container.get("env") or ()):
        found += _variable(f"{field}.env[{index}]", variable)
    paths: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        where = f"{field}.volumeMounts[{index}]"
        if mount.get("name") not in volumes:
            found.append(not_found(f"{where}.name", mount.get("name", "")))
        path = mount.get("mountPath") or ""
        if not path:
            found.append(required(f"{where}.mountPath"))
        elif path in paths:
            found.append(invalid(f"{where}.mountPath", path, "must be unique"))
        paths.add(path)
    return found + _resources(f"{field}.resources", container["resources"])


def _port(field: str, port: Object, names: set[str]) -> list[Cause]:
    found: list[Cause] = []
    name = port.get("name") or ""
    if name:
        if why := port_name(name):
            found.append(invalid(f"{field}.name", name, why))
        elif name in names:
            found.append(duplicate(f"{field}.name", name))
        names.add(name)
    if not port.get("containerPort"):
        found.append(required(f"{field}.containerPort"))
    else:
        found += port_number(f"{field}.containerPort", port["containerPort"])
    if port.get("hostPort"):
        found += port_number(f"{field}.hostPort", port["hostPort"])
    if port["protocol"] not in ("TCP", "UDP", "SCTP"):
        found.append(not_supported(f"{field}.protocol", port["protocol"], ("SCTP", "TCP", "UDP")))
    return found


def _variable(field: str, variable: Object) -> list[Cause]:
    name = variable.get("name") or ""
    if not name:
        return [required(f"{field}.name")]
    found: list[Cause] = []
    if not _ENV_NAME.fullmatch(name):
        why = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.'"
        found.append(invalid(f"{field}.name", name, why))
    source = variable.get("valueFrom")
    if source is not None and variable.get("value"):
        found.append(invalid(f"{field}.valueFrom", "", "may not be specified when `value` is not empty"))
    elif source is not None and len(source) != 1:
        found.append(invalid(f"{field}.valueFrom", "", "must specify exactly one source of the value"))
    return found


def _resources(field: str, resources: Object) -> list[Cause]:
    found: list[Cause] = []
    for part in ("limits", "requests"):
        for name, value in (resources.get(part) or {}).items():
            if not _QUANTITY.fullmatch(str(value)):
                found.append(invalid(f"{field}.{part}[{name}]", value, _QUANTITY_TEXT))
            elif str(value).startswith("-"):
                found.append(invalid(f"{field}.{part}[{name}]", value, "must be greater than or equal to 0"))
    return found


def _host_ports(spec: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[tuple[Any, ...]] = set()
    for index, container in enumerate(spec.get("containers") or ()):
        for position, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            key = (port["protocol"], port.get("hostIP"), port["hostPort"])
            where = f"{path}.containers[{index}].ports[{position}]"
            if key in seen:
                found.append(duplicate(f"{where}.hostPort", f"{key[0]}/{key[1] or ''}/{key[2]}"))
            seen.add(key)
            if spec.get("hostNetwork") and port["hostPort"] != port.get("containerPort"):
                why = "must match `hostPort` when `hostNetwork` is true"
                found.append(invalid(f"{where}.containerPort", port.get("containerPort"), why))
    return found


def _tolerations(spec: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, toleration in enumerate(spec.get("tolerations") or ()):
        where = f"{path}.tolerations[{index}]"
        operator = toleration.get("operator") or "Equal"
        if operator not in ("Equal", "Exists"):
            found.append(not_supported(f"{where}.operator", operator, ("Equal", "Exists")))
        if not toleration.get("key") and operator != "Exists":
            why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            found.append(invalid(f"{where}.operator", operator, why))
        if operator == "Exists" and toleration.get("value"):
            why = "value must be empty when `operator` is 'Exists'"
            found.append(invalid(f"{where}.operator", toleration["value"], why))
        effects = ("NoExecute", "NoSchedule", "PreferNoSchedule")
        if toleration.get("effect") and toleration["effect"] not in effects:
            found.append(not_supported(f"{where}.effect", toleration["effect"], effects))
    return found


def _node_affinity(spec: Object, path: str) -> list[Cause]:
    name = "requiredDuringSchedulingIgnoredDuringExecution"
    needed = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(name)
    if needed is None:
        return []
    field = f"{path}.affinity.nodeAffinity.{name}.nodeSelectorTerms"
    terms = needed.get("nodeSelectorTerms") or ()
    if not terms:
        return [required(field, "must have at least one node selector term")]
    found: list[Cause] = []
    for index, term in enumerate(terms):
        for position, expression in enumerate(term.get("matchExpressions") or ()):
            where = f"{field}[{index}].matchExpressions[{position}]"
            found += selector_term(where, expression, _AFFINITY_OPERATORS)
    return found


_IMMUTABLE_TEXT = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def _frozen(spec: Object) -> Object:
    rest = {key: value for key, value in spec.items() if key not in ("activeDeadlineSeconds", "tolerations")}
    for group in ("containers", "initContainers"):
        if group in rest:
            rest[group] = [{**container, "image": ""} for container in rest[group]]
    return rest


def _change(new: Object, old: Object) -> list[Cause]:
    found: list[Cause] = []
    before, after = _frozen(old), _frozen(new)
    if before != after:
        changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
        found.append(forbidden("spec", f"{_IMMUTABLE_TEXT}; changed: {', '.join(changed)}"))
    kept = new.get("tolerations") or ()
    if any(toleration not in kept for toleration in old.get("tolerations") or ()):
        why = "existing toleration can not be modified except its tolerationSeconds"
        found.append(forbidden("spec.tolerations", why))
    return found
