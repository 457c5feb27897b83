"""The resolver of an outside host: answers for names and addresses that the Topology gives it, and for no others."""

import argparse
import asyncio
import json
import logging
import socket
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address

from dns.rdata import Rdata

from agents.dns import rdata
from agents.dns.names import Key, key_from_text, name_of, reverse_key
from agents.dns.server import Responder, listen
from agents.dns.zone import Authority, Records, Zone


def records_of(addresses: Mapping[str, Sequence[IPv4Address]]) -> Records:
    """Each name's A records, and each address' PTR records."""
    found: defaultdict[Key, dict[Rdata, None]] = defaultdict(dict)
    for name, listed in addresses.items():
        key = key_from_text(name)
        for address in listed:
            found[key][rdata.a(address)] = None
            found[reverse_key(address)][rdata.ptr(name_of(key))] = None
    return {key: tuple(records) for key, records in found.items()}


def zone_of(host: str, addresses: Mapping[str, Sequence[IPv4Address]]) -> Zone:
    """The whole name space, as `host` knows it: what is not among `addresses` does not exist."""
    name = name_of(key_from_text(host))
    zone = Zone(Authority(frozenset({()}), name, name_of((b"hostmaster", *key_from_text(host)))))
    zone.put("topology", records_of(addresses))
    return zone


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve on two inherited sockets until the end."""
    parser = argparse.ArgumentParser(prog="agents.dns.resolver", description=__doc__)
    parser.add_argument("--host", required=True, help="the resolver's own name")
    parser.add_argument("--names", required=True, help="JSON: name -> list of addresses")
    parser.add_argument("--udp", type=int, required=True, help="descriptor of the bound socket")
    parser.add_argument("--tcp", type=int, required=True, help="descriptor of the listening socket")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    names = {name: [IPv4Address(text) for text in listed] for name, listed in json.loads(options.names).items()}
    responder = Responder(zone_of(options.host, names), None, lambda: True)
    asyncio.run(_serve(responder, socket.socket(fileno=options.udp), socket.socket(fileno=options.tcp)))


async def _serve(responder: Responder, udp: socket.socket, tcp: socket.socket) -> None:
    await listen(responder, udp, tcp)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    main()
