"""Make `controller/api/data/messages.txt`, the field numbers of protobuf bodies (run at development time only).

Usage: `python tools/trim_messages.py CHECKOUT`, a checkout of github.com/kubernetes/api. Numbers and names come from
`generated.proto`, and which fields are Go's pointers or inlined from `types.go`: the wire form tells neither.
"""

import re
import sys
from pathlib import Path

ROOTS = ("Pod", "Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "Job")
GROUPS = ("core/v1", "apps/v1", "batch/v1")
TARGET = Path(__file__).resolve().parent.parent / "controller/api/data/messages.txt"
SCALARS = {"string": "string", "int32": "int", "int64": "int", "bool": "bool", "bytes": "bytes"}
SPECIAL = {"Time", "IntOrString", "Quantity", "ObjectMeta", "LabelSelector"}

_MESSAGE = re.compile(r"message (\w+) \{")
_FIELD = re.compile(r"\s+(optional|repeated) ([\w.]+) (\w+) = (\d+);")
_MAP = re.compile(r"\s+map<string, ([\w.]+)> (\w+) = (\d+);")
_STRUCT = re.compile(r"type (\w+) struct \{")
_MEMBER = re.compile(r'\s+(?:\w+\s+)?(\*?)[\w.\[\]]+\s+`(?:json:"(\w*),?[\w,]*" )?protobuf:"\w+,(\d+),')


def go_fields(text: str) -> dict[tuple[str, int], str]:
    """(struct, field number) -> `pointer`, `inline` or an empty word."""
    found: dict[tuple[str, int], str] = {}
    struct = ""
    for line in text.splitlines():
        if start := _STRUCT.match(line):
            struct = start[1]
        elif member := _MEMBER.match(line):
            found[(struct, int(member[3]))] = "inline" if not member[2] else "pointer" if member[1] else ""
    return found


def messages(checkout: Path) -> dict[str, list[tuple[int, str, str]]]:
    """Per message: number, JSON name and type as `protofields` writes them."""
    found: dict[str, list[tuple[int, str, str]]] = {}
    for group in GROUPS:
        words = go_fields((checkout / group / "types.go").read_text())
        current = ""
        for line in (checkout / group / "generated.proto").read_text().splitlines():
            if start := _MESSAGE.match(line):
                current = start[1]
                found.setdefault(current, [])
            elif entry := _FIELD.match(line):
                kind = SCALARS.get(entry[2], entry[2].rpartition(".")[2])
                number = int(entry[4])
                word = "repeated" if entry[1] == "repeated" else words.get((current, number), "")
                found[current].append((number, entry[3], f"{word} {kind}".strip()))
            elif entry := _MAP.match(line):
                kind = SCALARS.get(entry[1], entry[1].rpartition(".")[2])
                found[current].append((int(entry[3]), entry[2], f"map {kind}"))
    return found


def main() -> None:
    """Write what the root messages reach."""
    known = messages(Path(sys.argv[1]))
    kept: dict[str, list[tuple[int, str, str]]] = {}
    todo = list(ROOTS)
    while todo:
        name = todo.pop()
        if name in kept:
            continue
        # Status is never taken from such a body; a message of another package than these is skipped with its field.
        fields = [(number, field, kind) for number, field, kind in known[name] if field != "status"]
        inner = {kind: kind.split(" ")[-1] for _, _, kind in fields}
        plain = {*SCALARS.values(), *SPECIAL}
        kept[name] = [entry for entry in fields if inner[entry[2]] in plain or inner[entry[2]] in known]
        todo += [inner[kind] for _, _, kind in kept[name] if inner[kind] not in plain]
    lines = [
        f"{name}: " + ", ".join(f"{number} {field} {kind}" for number, field, kind in kept[name])
        for name in sorted(kept)
    ]
    TARGET.write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} messages")


if __name__ == "__main__":
    main()
