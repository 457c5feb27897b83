"""Make `controller/api/data/schemas.json.gz` from the PyPI package kubernetes-validate (run at development time only).

Usage: `PYTHONPATH=. python tools/trim_schemas.py` in an environment that has kubernetes-validate and orjson. It keeps
the definitions that the served kinds reach, in OpenAPI's form, with upstream's patch and list extensions. LICENSE of
the source lies beside it.
"""

import gzip
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

from controller.api.registry import KINDS

VERSION = "1.32.0"
EXTRA = (
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "io.k8s.api.policy.v1.Eviction",
    "io.k8s.api.core.v1.Binding",
    "io.k8s.api.autoscaling.v1.Scale",
    "io.k8s.api.authentication.v1.TokenRequest",
)
TARGET = Path(__file__).resolve().parent.parent / "controller/api/data"


def convert(schema: dict[str, Any]) -> dict[str, Any]:
    """One schema node in OpenAPI 3.0's form: no type unions, references under components, no siblings of `$ref`."""
    node: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            node[key] = {name: convert(inner) for name, inner in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            node[key] = convert(value)
        elif key == "oneOf":
            node[key] = [convert(inner) for inner in value]
        elif key == "type" and isinstance(value, list):
            node[key] = next(word for word in value if word != "null")
        elif key == "$ref":
            node["$ref"] = "#/components/schemas/" + value.rpartition("/")[2]
        elif not (key == "enum" and None in value):
            node[key] = value
    if "$ref" in node and len(node) > 1:
        node["allOf"] = [{"$ref": node.pop("$ref")}]
    for name in ("apiVersion", "kind"):
        if "x-kubernetes-group-version-kind" in node:
            node.get("properties", {}).get(name, {}).pop("enum", None)
    return node


def references(node: Any) -> set[str]:
    """The definitions that a node names directly."""
    if isinstance(node, list):
        return set().union(*map(references, node)) if node else set()
    if not isinstance(node, dict):
        return set()
    found = set().union(*map(references, node.values())) if node else set()
    reference = node.get("$ref")
    if isinstance(reference, str):
        found.add(reference.rpartition("/")[2])
    return found


def main() -> None:
    """Write the data file and the licence."""
    spec = importlib.util.find_spec("kubernetes_validate")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    text = (package / f"kubernetes-json-schema/v{VERSION}-local/_definitions.json").read_text()
    definitions = {name: convert(node) for name, node in json.loads(text)["$defs"].items()}
    kept: set[str] = set()
    todo = [kind.schema for kind in KINDS if kind.schema and not kind.custom] + list(EXTRA)
    while todo:
        name = todo.pop()
        if name not in kept:
            kept.add(name)
            todo += references(definitions[name])
    body = json.dumps({name: definitions[name] for name in sorted(kept)}, separators=(",", ":")).encode()
    TARGET.mkdir(exist_ok=True)
    (TARGET / "schemas.json.gz").write_bytes(gzip.compress(body, 9, mtime=0))
    (licence,) = package.parent.glob("kubernetes_validate-*.dist-info/licenses/LICENSE")
    shutil.copyfile(licence, TARGET / "schemas.LICENSE.md")
    print(f"{len(kept)} definitions, {len(body)} bytes")


if __name__ == "__main__":
    main()
