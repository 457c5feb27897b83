"""Commands on the data plane: capture."""

from pathlib import Path
from typing import Annotated

import typer

from kubinet.cli.app import Panel, command
from kubinet.cli.options import ClusterOption, NamespaceOption


@command(
    "capture",
    Panel.NETWORK,
    [
        "kubinet capture n1 n2 -w overlay.pcapng --filter 'udp port 4789'",
        "kubinet capture pod/a n1 -w both.pcapng --duration 10s",
        "kubinet capture link/leaf1-spine1 -w link.pcapng --count 100",
        "kubinet capture n1:gw0 -w - --count 20 | tshark -r -",
    ],
)
def capture(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="PLACE...", help="NODE or HOST (its underlay), pod/NAME, link/NAME (both ends), or NAME:INTERFACE."
        ),
    ],
    write: Annotated[
        str, typer.Option("--write", "-w", metavar="FILE.pcapng", help="The file; - for standard output.")
    ],
    packet_filter: Annotated[
        str, typer.Option("--filter", metavar="PCAP-FILTER", help="What to keep, as for tcpdump; see pcap-filter(7).")
    ] = "",
    count: Annotated[int | None, typer.Option("--count", min=1, help="End after so many packets.")] = None,
    duration: Annotated[str | None, typer.Option("--duration", help="End after this time, such as 10s.")] = None,
    namespace: NamespaceOption = None,
    cluster: ClusterOption = None,
) -> None:
    """Capture packets at one or several places into one pcapng file that names them, until ctrl-C.

    Packets of all places are in the order of time, so that one packet can be followed from pod to underlay to pod. The
    file has the names of the pods, Services, nodes and outside hosts that there were at its beginning: Wireshark shows
    them (View, Name Resolution, Resolve Network Addresses; `tshark -N n`).
    """
    import sys
    from contextlib import nullcontext

    from kubinet import capturing
    from kubinet.cli import durations
    from kubinet.cli.addressnames import address_names
    from kubinet.cli.clusterview import state_of
    from kubinet.cli.connection import cluster_of

    found = cluster_of(cluster)
    chosen = capturing.places_of(found, places, namespace or "default", packet_filter)
    seconds = durations.seconds(duration, "--duration") if duration is not None else None
    limits = capturing.Limits(count, seconds)
    outside = {host.name: host.address for host in found.facts.outside}
    names = address_names(state_of(found.client), outside)

    def started() -> None:
        typer.echo(f"Capturing on {', '.join(one.interface.name for one in chosen)}; ctrl-C ends it.", err=True)

    with nullcontext(sys.stdout.buffer) if write == "-" else Path(write).open("wb") as stream:
        comment = f"kubinet capture in cluster {found.name}"
        counts = capturing.capture(chosen, stream, limits, comment=comment, names=names, started=started)
    for place, number in zip(chosen, counts, strict=True):
        typer.echo(f"{number} packets on {place.interface.name}", err=True)
