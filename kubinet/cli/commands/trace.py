"""`kubinet trace`: a packet's way through the cluster, as the installed flows have it."""

from typing import Annotated

import typer

from kubinet.cli.app import Panel, command
from kubinet.cli.options import ClusterOption, Facts, FactsOption, NamespaceOption


@command(
    "trace",
    Panel.NETWORK,
    [
        "kubinet trace -n shop web api:8080",
        "kubinet trace shop/web svc/shop/api",
        "kubinet trace outside/h1 node/n1:30080 --all",
        "kubinet trace node/n1 kube-system/coredns-0:53/udp -o json",
        "kubinet trace shop/web 192.0.2.9:443 --established",
    ],
)
def trace(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="A pod (web, shop/web), node/NAME, outside/NAME, or an address.")
    ],
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DST[:PORT[/PROTO]]",
            help="The same, or svc/NAME; without a port ICMP echo, or a Service's first port. PROTO: tcp, udp, sctp.",
        ),
    ],
    established: Annotated[
        bool, typer.Option("--established", help="A packet of a connection that is older than today's policies.")
    ] = False,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", metavar="POD|ADDRESS[:PORT]", help="Follow the Service's way to this endpoint."),
    ] = None,
    source_port: Annotated[
        int, typer.Option("--source-port", min=1, max=65535, help="The sender's port; endpoints may depend on it.")
    ] = 40000,
    everything: Annotated[bool, typer.Option("--all", help="Every table, with its flow's match and actions.")] = False,
    namespace: NamespaceOption = None,
    output: FactsOption = Facts.TABLE,
    cluster: ClusterOption = None,
) -> int:
    """Tell a packet's way through the cluster and its answer's way back, from the flows that are installed.

    Open vSwitch itself is asked, node by node (ofproto/trace); no packet is sent. Each line names the object that its
    flow came from. Where the packet dies it says who did that, and what would let it pass.

    The exit status is 0 when the packet and its answer are delivered, 1 when not.
    """
    from contextlib import suppress
    from dataclasses import replace

    from controller.compile import Compiler
    from controller.walk.packet import WalkError
    from controller.walk.question import Question
    from controller.walk.walker import Walker, reached
    from controller.walk.words.names import Names
    from controller.walk.words.story import tell
    from kubinet.cli import storyprinting, traceplaces
    from kubinet.cli.clusterview import view_of
    from kubinet.cli.connection import cluster_of
    from kubinet.cli.printers import to_json
    from kubinet.cli.terminal import results
    from kubinet.cli.tracing import ClusterTracer

    found = cluster_of(cluster)
    view = view_of(found.client, {host.name: host.address for host in found.facts.outside})
    inner = namespace or "default"
    sender = traceplaces.sender_of(source, inner, view)
    aim = traceplaces.aim_of(destination, inner, view, sender)
    question = Question(
        sender=sender,
        destination=aim.address,
        protocol=aim.protocol,
        port=aim.port,
        source_port=source_port,
        established=established,
        endpoint=None if endpoint is None else traceplaces.endpoint_of(endpoint, inner, view, aim),
    )
    names = Names.of(view.state, {address: name for name, address in view.outside.items()})
    compiler = Compiler()
    compiler.compile(view.state)
    meanings = compiler.meanings()
    with ClusterTracer(found) as tracer:
        walker = Walker(view.state, tracer)
        journey = walker.journey(question)
        story = tell(journey, names, meanings)
        others = {}
        for other in traceplaces.other_endpoints(aim, reached(journey.request)) if endpoint is None else ():
            with suppress(WalkError):  # an endpoint that this node does not choose: a traffic policy, a hint
                others[other] = tell(walker.journey(replace(question, endpoint=other)), names, meanings)
    ends = {names.endpoint(*other): told for other, told in others.items()}
    if output is Facts.JSON:
        typer.echo(to_json(storyprinting.document(story, ends)), nl=False)
    else:
        storyprinting.show(results(), story, ends, everything=everything)
    return int(not story.delivered)
