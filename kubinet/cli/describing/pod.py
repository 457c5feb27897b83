"""Pods: where they run, their containers with state and exit codes, conditions, volumes."""

from typing import Any, TypeAlias

from kubinet.cli.describing.lines import Lines, Related

Object: TypeAlias = dict[str, Any]


def describe(obj: Object, related: Related) -> str:
    """As kubectl describes a pod."""
    metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    lines = Lines()
    lines.add("Name", metadata["name"])
    lines.add("Namespace", metadata.get("namespace"))
    node = spec.get("nodeName")
    lines.add("Node", f"{node}/{status['hostIP']}" if node and status.get("hostIP") else node)
    lines.add_some("Start Time", status.get("startTime"))
    lines.mapping("Labels", metadata.get("labels"))
    annotations = metadata.get("annotations") or {}
    shown = {key: value for key, value in annotations.items() if not key.endswith("last-applied-configuration")}
    lines.mapping("Annotations", shown, ": ")
    deleting = metadata.get("deletionTimestamp")
    lines.add("Status", f"Terminating (since {deleting})" if deleting else status.get("phase"))
    lines.add_some("Termination Grace Period", deleting and f"{metadata.get('deletionGracePeriodSeconds', 0)}s")
    lines.add_some("Reason", status.get("reason"))
    lines.add_some("Message", status.get("message"))
    lines.add_some("Host Network", spec.get("hostNetwork") and "true")
    lines.add("IP", status.get("podIP"))
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            lines.add("Controlled By", f"{owner['kind']}/{owner['name']}")
    _containers(lines, "Init Containers", spec.get("initContainers"), status.get("initContainerStatuses"))
    _containers(lines, "Containers", spec.get("containers"), status.get("containerStatuses"))
    if status.get("conditions"):
        lines.heading("Conditions")
        rows = [
            (one["type"], one["status"], ": ".join(str(one[k]) for k in ("reason", "message") if one.get(k)))
            for one in status["conditions"]
        ]
        lines.table(("Type", "Status", "Reason"), rows)
    _volumes(lines, spec.get("volumes"))
    lines.events(related.events)
    return lines.text()


def _containers(lines: Lines, label: str, containers: list[Object] | None, statuses: list[Object] | None) -> None:
    if not containers:
        return
    by_name = {one["name"]: one for one in statuses or ()}
    lines.heading(label)
    for container in containers:
        lines.heading(container["name"], 2)
        _container(lines, container, by_name.get(container["name"], {}))


def _container(lines: Lines, container: Object, status: Object) -> None:
    lines.add("Container ID", status.get("containerID"), 4)
    lines.add("Image", container.get("image"), 4)
    ports = [f"{one['containerPort']}/{one.get('protocol', 'TCP')}" for one in container.get("ports") or ()]
    lines.add("Ports", ", ".join(ports), 4)
    for label, key in (("Command", "command"), ("Args", "args")):
        if container.get(key):
            lines.heading(label, 4)
            for word in container[key]:
                lines.plain(str(word), 6)
    _state(lines, "State", status.get("state"))
    if status.get("lastState"):
        _state(lines, "Last State", status["lastState"])
    lines.add("Ready", status.get("ready", False), 4)
    lines.add("Restart Count", status.get("restartCount", 0), 4)
    for label, key in (("Limits", "limits"), ("Requests", "requests")):
        amounts = (container.get("resources") or {}).get(key)
        if amounts:
            lines.heading(label, 4)
            for name, amount in sorted(amounts.items()):
                lines.add(name, amount, 6)
    environment = container.get("env") or ()
    if environment:
        lines.heading("Environment", 4)
    for one in environment:
        lines.add(one["name"], _value(one), 6)
    for mount in container.get("volumeMounts") or ():
        access = "ro" if mount.get("readOnly") else "rw"
        lines.add("Mount", f"{mount['mountPath']} from {mount['name']} ({access})", 4)


def _state(lines: Lines, label: str, state: Object | None) -> None:
    name = next(iter(state or ()), "unknown")
    facts: Object = (state or {}).get(name) or {}
    lines.add(label, name.capitalize(), 4)
    lines.add_some("Reason", facts.get("reason"), 6)
    lines.add_some("Message", facts.get("message"), 6)
    if "exitCode" in facts:
        lines.add("Exit Code", facts["exitCode"], 6)
    lines.add_some("Signal", facts.get("signal"), 6)
    lines.add_some("Started", facts.get("startedAt"), 6)
    lines.add_some("Finished", facts.get("finishedAt"), 6)


def _value(variable: Object) -> object:
    source = variable.get("valueFrom")
    if not source:
        return variable.get("value")
    kind, reference = next(iter(source.items()))
    words = {"fieldRef": "fieldPath", "configMapKeyRef": "key", "secretKeyRef": "key", "resourceFieldRef": "resource"}
    return f"({kind} {reference.get('name', '')} {reference.get(words.get(kind, ''), '')})".replace("  ", " ")


def _volumes(lines: Lines, volumes: list[Object] | None) -> None:
    if not volumes:
        return
    lines.heading("Volumes")
    for volume in volumes:
        kind = next((key for key in volume if key != "name"), "emptyDir")
        source = volume.get(kind) or {}
        words = ", ".join(f"{k}={v}" for k, v in source.items() if not isinstance(v, dict | list))
        lines.add(volume["name"], f"{kind}" + (f" ({words})" if words else ""), 2)
