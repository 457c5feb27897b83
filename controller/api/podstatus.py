"""A pod's READY, STATUS and RESTARTS as `kubectl get pods` shows them."""

from controller.api.status import Object
from controller.api.times import age


def _statuses(pod: Object, name: str) -> list[Object]:
    found: list[Object] = (pod.get("status") or {}).get(name) or []
    return found


def pod_ready(pod: Object) -> str:
    """`ready/total` of the containers."""
    ready = sum(
        1
        for status in _statuses(pod, "containerStatuses")
        if status.get("ready") and "running" in (status.get("state") or {})
    )
    return f"{ready}/{len((pod.get('spec') or {}).get('containers') or ())}"


def pod_restarts(pod: Object) -> str:
    """The containers' restarts and how long ago the last one was."""
    count, last = 0, ""
    for status in _statuses(pod, "containerStatuses"):
        count += status.get("restartCount", 0)
        ended = ((status.get("lastState") or {}).get("terminated") or {}).get("finishedAt") or ""
        last = max(last, ended)
    return f"{count} ({age(last)} ago)" if count and last else str(count)


def _ended(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _initializing(pod: Object) -> str:
    total = len((pod.get("spec") or {}).get("initContainers") or ())
    for index, status in enumerate(_statuses(pod, "initContainerStatuses")):
        state = status.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting") or {}
        if terminated is not None and terminated.get("exitCode", 0) == 0:
            continue
        if terminated is not None:
            return f"Init:{_ended(terminated)}"
        if waiting.get("reason") not in (None, "", "PodInitializing"):
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{total}"
    return ""


def pod_status(pod: Object) -> str:
    """The word that tells most: a container's reason, Terminating, or the phase."""
    status = pod.get("status") or {}
    word = status.get("reason") or status.get("phase") or "Unknown"
    initializing = _initializing(pod)
    if initializing:
        word = initializing
    else:
        running = False
        for container in reversed(_statuses(pod, "containerStatuses")):
            state = container.get("state") or {}
            if (state.get("waiting") or {}).get("reason"):
                word = state["waiting"]["reason"]
            elif "terminated" in state:
                word = _ended(state["terminated"])
            elif container.get("ready") and "running" in state:
                running = True
        if word == "Completed" and running:
            word = "Running" if _is_ready(status) else "NotReady"
    if pod["metadata"].get("deletionTimestamp"):
        word = "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return str(word)


def _is_ready(status: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
