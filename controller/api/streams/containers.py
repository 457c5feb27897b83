"""Which container of a pod a request means."""

from controller.api.status import Object, bad_request

_DEFAULT = "kubectl.kubernetes.io/default-container"


def choose(pod: Object, wanted: str) -> str:
    """The named container, or the only or default one; 400 when there is none such or the choice is open."""
    spec, metadata = pod["spec"], pod["metadata"]
    main = [container["name"] for container in spec.get("containers") or ()]
    names = main + [container["name"] for container in spec.get("initContainers") or ()]
    if wanted:
        if wanted not in names:
            raise bad_request(f"container {wanted} is not valid for pod {metadata['name']}")
        return wanted
    default = (metadata.get("annotations") or {}).get(_DEFAULT, "")
    if default in names:
        return str(default)
    if len(main) != 1:
        choice = " ".join(main)
        message = f"a container name must be specified for pod {metadata['name']}, choose one of: [{choice}]"
        raise bad_request(message)
    return str(main[0])


def status_of(pod: Object, container: str) -> Object:
    """The container's entry in the pod's status; empty when there is none yet."""
    status = pod.get("status") or {}
    entries = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    return next((entry for entry in entries if entry["name"] == container), {})
