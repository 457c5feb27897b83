"""The variables by which containers find services."""

from typing import Any

from agents.servicelinks import service_variables


def service(namespace: str, name: str, address: str, *ports: tuple[str, int, str]) -> dict[str, Any]:
    listed = [{"name": named, "port": port, "protocol": protocol} for named, port, protocol in ports]
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {"clusterIP": address, "ports": listed}}


API = service("default", "kubernetes", "10.96.0.1", ("https", 443, "TCP"))
API_VARIABLES = {
    "KUBERNETES_SERVICE_HOST": "10.96.0.1",
    "KUBERNETES_SERVICE_PORT": "443",
    "KUBERNETES_SERVICE_PORT_HTTPS": "443",
    "KUBERNETES_PORT": "tcp://10.96.0.1:443",
    "KUBERNETES_PORT_443_TCP": "tcp://10.96.0.1:443",
    "KUBERNETES_PORT_443_TCP_PROTO": "tcp",
    "KUBERNETES_PORT_443_TCP_PORT": "443",
    "KUBERNETES_PORT_443_TCP_ADDR": "10.96.0.1",
}


def test_the_api_is_named_in_every_namespace() -> None:
    """With and without links, exactly the kubelet's eight variables."""
    assert service_variables([API], "shop", links=False) == API_VARIABLES
    assert service_variables([API], "shop", links=True) == API_VARIABLES


def test_services_of_the_namespace_are_named_with_links_only() -> None:
    """Each port of a service has its own group; services without an address or of other namespaces have none."""
    services = [
        API,
        service("shop", "my-db", "10.96.7.7", ("", 5432, "TCP"), ("stats", 8125, "UDP")),
        service("shop", "headless", "None", ("", 80, "TCP")),
        service("other", "web", "10.96.7.8", ("", 80, "TCP")),
    ]
    assert service_variables(services, "shop", links=False) == API_VARIABLES
    assert service_variables(services, "shop", links=True) == API_VARIABLES | {
        "MY_DB_SERVICE_HOST": "10.96.7.7",
        "MY_DB_SERVICE_PORT": "5432",
        "MY_DB_SERVICE_PORT_STATS": "8125",
        "MY_DB_PORT": "tcp://10.96.7.7:5432",
        "MY_DB_PORT_5432_TCP": "tcp://10.96.7.7:5432",
        "MY_DB_PORT_5432_TCP_PROTO": "tcp",
        "MY_DB_PORT_5432_TCP_PORT": "5432",
        "MY_DB_PORT_5432_TCP_ADDR": "10.96.7.7",
        "MY_DB_PORT_8125_UDP": "udp://10.96.7.7:8125",
        "MY_DB_PORT_8125_UDP_PROTO": "udp",
        "MY_DB_PORT_8125_UDP_PORT": "8125",
        "MY_DB_PORT_8125_UDP_ADDR": "10.96.7.7",
    }


def test_a_service_named_kubernetes_takes_the_apis_place() -> None:
    """In its own namespace, and only with links."""
    own = service("shop", "kubernetes", "10.96.9.9", ("", 80, "TCP"))
    assert service_variables([API, own], "shop", links=True)["KUBERNETES_SERVICE_HOST"] == "10.96.9.9"
    assert service_variables([own, API], "shop", links=False) == API_VARIABLES
