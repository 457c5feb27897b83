"""Writes the example of docs/policy.md: `python -m controller.policy_docs [FILE]`.

The text is written by hand; between the lines `<!-- example -->` and `<!-- end -->` stand the policies' flows of the
example, as the compiler makes them.
"""

import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

import yaml

from controller.compile import Compiler
from controller.openflow.flow import Category, Flow
from controller.pipeline import table_numbered
from controller.pipeline_docs import example
from kubinet.addressing import INTEGRATION_BRIDGE
from kubinet.policyobjects import policy_from_object
from kubinet.state import ClusterState, Overlay, Pod

PAGE: Final = Path(__file__).parents[1] / "docs" / "policy.md"
_BEGIN: Final = "<!-- example -->"
_END: Final = "<!-- end -->"
_PODS: Final = (
    ("web-1", "n1", "10.244.1.2", "web"),
    ("web-2", "n1", "10.244.1.3", "web"),
    ("front", "n2", "10.244.2.2", "front"),
    ("batch", "n2", "10.244.2.3", "batch"),
)


def manifest() -> str:
    """The policies of the example, as the page has them."""
    text = PAGE.read_text()
    return text.partition("```yaml\n")[2].partition("```")[0]


def state() -> ClusterState:
    """Two nodes, four pods of namespace shop, and the page's policies."""
    plain = example(Overlay.VXLAN)
    pods = [Pod("shop", name, node, IPv4Address(address), {"app": app}) for name, node, address, app in _PODS]
    policies = [policy_from_object(document) for document in yaml.safe_load_all(manifest())]
    return ClusterState(
        plain.network,
        plain.nodes,
        {pod.key: pod for pod in pods},
        namespaces={"shop": {"kubernetes.io/metadata.name": "shop"}},
        policies={policy.key: policy for policy in policies},
    )


def example_flows(node: str) -> list[Flow]:
    """What the example's policies are on a node, in the order of tables."""
    made = Compiler().compile(state())[node]
    if isinstance(made, Exception):
        raise made
    flows = [flow for flow in made[INTEGRATION_BRIDGE].flows() if flow.category is Category.POLICY]
    flows = [flow for flow in flows if flow.owner.kind not in ("Topology", "Node")]
    return sorted(flows, key=lambda flow: (flow.table, -flow.priority, flow.to_text()))


def _lines() -> Iterator[str]:
    for node in ("n1", "n2"):
        flows = example_flows(node)
        if not flows:
            yield from ("", f"On {node}: nothing.")
            continue
        yield from ("", f"On {node}:", "", "```")
        for flow in flows:
            table = table_numbered(INTEGRATION_BRIDGE, flow.table)
            yield f"{flow.to_text()}  # {table.name if table else flow.table}, {flow.owner}"
        yield "```"
    yield ""


def page(text: str) -> str:
    """The page with its example written anew."""
    head, _, rest = text.partition(_BEGIN)
    return "\n".join([head + _BEGIN, *_lines(), _END + rest.partition(_END)[2]])


def main() -> None:
    """Write the page."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    target.write_text(page(PAGE.read_text()))


if __name__ == "__main__":
    main()
