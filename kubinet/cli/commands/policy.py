"""Commands on network policies: matrix, diff."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kubinet.cli.app import Panel, group, into
from kubinet.cli.options import ClusterOption, Facts, FactsOption, FilesOption, RecursiveOption
from kubinet.errors import UsageError

if TYPE_CHECKING:
    from kubinet.cli.policyworlds import Offline
    from kubinet.reach.world import World

policy = group("policy", Panel.NETWORK, "What network policies do: truth tables, tests, differences, denied packets.")

NamespacesOption = Annotated[
    list[str] | None,
    typer.Option("--namespace", "-n", metavar="NS", help="Pods of this namespace; repeatable (default: all)."),
]
PortsOption = Annotated[
    list[str] | None,
    typer.Option("--port", metavar="PORT[/PROTOCOL]", help="80/TCP, 53/UDP, 9000/SCTP or ICMP; repeatable."),
]
FromOption = Annotated[
    list[str] | None,
    typer.Option(
        "--from", metavar="WHO", help="Sources: NS/NAME, NS/label=value, node/NAME, outside, a CIDR; repeatable."
    ),
]
ToOption = Annotated[
    list[str] | None, typer.Option("--to", metavar="WHO", help="Destinations, in the same words; repeatable.")
]
TopologyOption = Annotated[
    str,
    typer.Option("--topology", metavar="TOPOLOGY.yaml|PRESET", help="With -f: whose nodes and addresses are made up."),
]
NodesOption = Annotated[int | None, typer.Option("--nodes", min=1, help="With -f: how many nodes (presets only).")]
TimeoutOption = Annotated[
    str,
    typer.Option("--timeout", metavar="TIME", help="How long a real packet may be silent until it counts as denied."),
]


@into(
    policy,
    ("policy", "matrix"),
    [
        "kubinet policy matrix -n shop --port 80/TCP --port 53/UDP",
        "kubinet policy matrix -f shop.yaml --to 'shop/app=web' --from 'outside'",
        "kubinet policy matrix -n shop --check",
    ],
)
def matrix(
    namespaces: NamespacesOption = None,
    ports: PortsOption = None,
    sources: FromOption = None,
    destinations: ToOption = None,
    files: FilesOption = None,
    recursive: RecursiveOption = False,
    check: Annotated[
        bool, typer.Option("--check", help="Ask the installed flows and send real packets, too: all three must agree.")
    ] = False,
    timeout: TimeoutOption = "2s",
    topology: TopologyOption = "leaf-spine",
    nodes: NodesOption = None,
    output: FactsOption = Facts.TABLE,
    cluster: ClusterOption = None,
) -> int:
    """Print who reaches whom: a row for each source, a column for each destination; . allowed, X denied, # itself.

    The answers are the oracle's: from the specification, whatever the flows do. With -f they come from manifests alone,
    and no cluster is needed: workloads count as the pods that they would have. Without --port the ports are those that
    the pods' containers declare, 80/TCP where none does.

    --check prints three tables: the oracle's, what the flows on the bridges do (as `kubinet trace` finds out), and what
    became of real packets. A receiver that refuses a connection has got it, so that is allowed; only silence is denied.
    The exit status is 1 when two of them differ, and the smallest difference is explained.
    """
    from kubinet.cli import policyprinting as printing
    from kubinet.cli import policyworlds as worlds
    from kubinet.cli.printers import to_json
    from kubinet.policy import Oracle
    from kubinet.reach.matrix import declared_probes
    from kubinet.reach.matrix import matrix as answers

    own = list(namespaces or ())
    if check and files:
        raise UsageError("--check is about the running cluster; leave -f out")
    world = _world(files, worlds.Offline(topology, nodes, recursive), own, cluster)
    rows = worlds.chosen(world, sources or (), own, "--from")
    columns = worlds.chosen(world, destinations or (), own, "--to")
    if not rows or not columns:
        raise UsageError(f"there are no pods to ask about in {', '.join(own) or 'any namespace'}")
    oracle = Oracle(world.state)
    probes = worlds.probes_of(ports or ()) or declared_probes(world, columns)
    found = [answers(oracle, rows, columns, probe) for probe in probes]
    if check:
        from kubinet.cli import durations
        from kubinet.cli import policychecking as checking
        from kubinet.cli.connection import cluster_of

        checks = checking.check(cluster_of(cluster), world, found, durations.seconds(timeout, "--timeout"))
        typer.echo(to_json(checking.document(checks)) if output is Facts.JSON else checking.text(checks), nl=False)
        return int(not checking.agree(checks))
    text = to_json(printing.matrices_json(found)) if output is Facts.JSON else printing.matrices_text(found)
    typer.echo(text, nl=False)
    return 0


@into(
    policy,
    ("policy", "diff"),
    ["kubinet policy diff old/ new/ -f pods.yaml", "kubinet policy diff cluster new.yaml -n shop"],
)
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="A manifest file or folder, or the word cluster.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The same; policies on top of the cluster's own.")],
    files: FilesOption = None,
    recursive: RecursiveOption = False,
    instead: Annotated[
        bool, typer.Option("--instead", help="The manifests' policies are in the place of all that the cluster has.")
    ] = False,
    namespaces: NamespacesOption = None,
    ports: PortsOption = None,
    sources: FromOption = None,
    destinations: ToOption = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit status 1 when a pair changes.")] = False,
    topology: TopologyOption = "leaf-spine",
    nodes: NodesOption = None,
    output: FactsOption = Facts.TABLE,
    cluster: ClusterOption = None,
) -> int:
    """Say which pairs change between two sets of policies, on which ports, and why.

    OLD and NEW are manifests; -f adds what both have, such as the pods. One of them may be the word `cluster`: the
    running cluster's pods and policies, and on the other side the same with the manifests' policies on top. Without
    --port all ports of all protocols count.
    """
    from kubinet.cli import policyprinting as printing
    from kubinet.cli import policyworlds as worlds
    from kubinet.cli.printers import to_json
    from kubinet.reach.differences import Side, difference
    from kubinet.reach.spans import Span

    own = list(namespaces or ())
    offline = worlds.Offline(topology, nodes, recursive)
    pair = worlds.two_worlds(old, new, files or (), offline, own[0] if own else None, cluster, instead=instead)
    sides = [
        Side(
            world,
            worlds.chosen(world, sources or (), own, "--from"),
            worlds.chosen(world, destinations or (), own, "--to"),
        )
        for world in pair
    ]
    probes = worlds.probes_of(ports or ())
    found = difference(
        sides[0], sides[1], [Span(one.protocol, one.port, one.port) for one in probes] if probes else None
    )
    text = to_json(printing.difference_json(found)) if output is Facts.JSON else printing.difference_text(found)
    typer.echo(text, nl=False)
    return int(exit_code and bool(found.changes))


@into(
    policy,
    ("policy", "test"),
    [
        "kubinet policy test shop-test.yaml",
        "kubinet policy test shop-test.yaml -f manifests/ --junit report.xml",
        "kubinet policy test shop-test.yaml --live",
    ],
)
def test(
    file: Annotated[str, typer.Argument(metavar="FILE.yaml", help="PolicyTest documents; - for standard input.")],
    files: FilesOption = None,
    recursive: RecursiveOption = False,
    live: Annotated[
        bool, typer.Option("--live", help="Ask about the running cluster, and send real packets, too.")
    ] = False,
    timeout: TimeoutOption = "2s",
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="OUT.xml", help="Write the results as JUnit XML, too.")
    ] = None,
    topology: TopologyOption = "leaf-spine",
    nodes: NodesOption = None,
    output: FactsOption = Facts.TABLE,
    cluster: ClusterOption = None,
) -> int:
    """Run expectations: who may reach whom on what. Exit status 0: all hold, 1: one does not, 2: the file is wrong.

    The world is made up from manifests: those of -f, else those that the document names. With --live it is the running
    cluster, and an expectation holds only if the oracle and real packets say so. docs/policy-commands.md has the
    document's form.
    """
    import time

    from kubinet.cli import policytesting as testing
    from kubinet.cli import policyworlds as worlds
    from kubinet.cli.printers import to_json
    from kubinet.reach.junit import junit as to_junit
    from kubinet.reach.testing import Outcome, questions, result

    if live and files:
        raise UsageError("--live asks about the running cluster; leave -f out")
    began = time.monotonic()
    offline = worlds.Offline(topology, nodes, recursive)
    found = []
    for document in testing.documents(file):
        world = worlds.live(cluster) if live else testing.made_up(document, files or (), offline)
        asked = questions(document.test, world)
        observed = testing.observed(cluster, world, asked, timeout) if live else {}
        found += [result(one, observed) for one in asked]
    text = to_json(testing.results_json(found)) if output is Facts.JSON else testing.report(found)
    typer.echo(text, nl=False)
    if junit is not None:
        junit.write_text(to_junit(Path(file).stem, found, time.monotonic() - began))
    return int(any(one.outcome is not Outcome.PASSED for one in found))


def _world(files: list[str] | None, offline: "Offline", namespaces: list[str], cluster: str | None) -> "World":
    from kubinet.cli import policyworlds as worlds

    if not files:
        return worlds.live(cluster)
    made = offline.build(worlds.manifests_of(files, offline.recursive), namespaces[0] if namespaces else None)
    worlds.tell(made)
    return made.world
