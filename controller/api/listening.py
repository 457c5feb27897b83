"""Where the API listens and with which certificate."""

import json
import socket
import ssl
from pathlib import Path
from typing import Final

from controller.api import pki
from controller.workloads.apiservice import API_PORT
from kubinet.kubernetes import network_from_topology
from kubinet.state import NetworkConfig

_IP_FREEBIND: Final = 15
"""linux/in.h: bind to an address that no interface has yet."""


def cluster_network(state_dir: Path) -> NetworkConfig | None:
    """From the Topology that `kubinet up` left in the state folder; None for an API that runs alone."""
    path = state_dir / "topology.json"
    return network_from_topology(json.loads(path.read_text())) if path.exists() else None


def server_tls(state_dir: Path) -> ssl.SSLContext:
    """With the certificates in the state folder, made when they are missing."""
    network = cluster_network(state_dir)
    addresses = (network.management_address, network.api_service_address) if network else ()
    files = pki.ensure(state_dir / "pki", addresses)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    return context


def listen_for_pods(network: NetworkConfig) -> socket.socket:
    """A socket on the management address, which the underlay service configures when we run already."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_IP, _IP_FREEBIND, 1)
    listener.bind((str(network.management_address), API_PORT))
    return listener
