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
        "kubinet trace shop/web svc/shop/api --live",
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
        int | None,
        typer.Option("--source-port", min=1, max=65535, help="The sender's port; endpoints may depend on it."),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Send a real packet, and show frames and counters beside the prediction.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Every table, with its flow's match and actions.")] = False,
    namespace: NamespaceOption = None,
    output: FactsOption = Facts.TABLE,
    cluster: ClusterOption = None,
) -> int:
    """Tell a packet's way through the cluster and its answer's way back, from the flows that are installed.

    Open vSwitch itself is asked, node by node (ofproto/trace); no packet is sent without --live. Each line names the
    object that its flow came from. Where the packet dies it says who did that, and what would let it pass.

    A Service without an address (headless, ExternalName) gets no packets: what DNS answers is told, and where to go on.

    The exit status is 0 when the packet and its answer are delivered, 1 when not, or when with --live the real packet
    did otherwise.
    """
    from controller.walk.question import SOURCE_PORT, Question
    from kubinet.cli import storydocument, storyprinting, tracenames, traceplaces
    from kubinet.cli.clusterview import view_of
    from kubinet.cli.connection import cluster_of
    from kubinet.cli.livetrace import experiment, showing
    from kubinet.cli.printers import to_json
    from kubinet.cli.terminal import results
    from kubinet.cli.traceanswer import answer

    found = cluster_of(cluster)
    view = view_of(found.client, {host.name: host.address for host in found.facts.outside})
    inner = namespace or "default"
    sender = traceplaces.sender_of(source, inner, view)
    instead = traceplaces.named_answer(destination, inner, view)
    if instead is not None:
        of_packets = {
            "--established": established,
            "--endpoint": endpoint is not None,
            "--source-port": source_port is not None,
            "--live": live,
        }
        tracenames.refuse_options(instead, (option for option, given in of_packets.items() if given))
        asked = f"-n {namespace} {source}" if namespace else source
        text = "\n".join(tracenames.lines(instead, asked)) + "\n"
        typer.echo(to_json(tracenames.document(instead)) if output is Facts.JSON else text, nl=False)
        return 1
    aim = traceplaces.aim_of(destination, inner, view, sender)
    question = Question(
        sender=sender,
        destination=aim.address,
        protocol=aim.protocol,
        port=aim.port,
        source_port=source_port or (experiment.any_port() if live else SOURCE_PORT),
        established=established,
        endpoint=None if endpoint is None else traceplaces.endpoint_of(endpoint, inner, view, aim),
    )
    if live:
        experiment.check(question)
    told = answer(found, view, question, aim, live=live)
    beside = (None, None) if told.observation is None else showing.beside(told.observation)
    if output is Facts.JSON:
        seen = {} if told.observation is None else {"live": showing.document(told.observation)}
        typer.echo(to_json(storydocument.document(told.story, told.others, beside) | seen), nl=False)
        return told.exit_status
    console = results()
    storyprinting.show(console, told.story, told.others, everything=everything, beside=beside)
    if told.observation is not None:
        showing.conclude(console, told.observation)
    return told.exit_status
