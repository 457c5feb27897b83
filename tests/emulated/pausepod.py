"""The pod that does nothing but have an address."""


def pause_pod(name: str, node: str | None = None) -> dict[str, object]:
    """A manifest in the namespace `default`; without a node the scheduler chooses one."""
    spec: dict[str, object] = {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}],
    }
    if node is not None:
        spec["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}
