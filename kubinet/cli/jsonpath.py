"""Kubernetes' JSONPath: `{.items[*].metadata.name}`, ranges, filters, slices, text, as `-o jsonpath=` reads it.

Reference: kubernetes.io/docs/reference/kubectl/jsonpath. A template is text with expressions in braces; each expression
yields values, which are printed separated by blanks.
"""

import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kubinet.errors import UsageError

Step = Callable[[Iterable[Any]], Iterator[Any]]

_NAME: Final = re.compile(r"(?:[^\s.,\[\]{}()'\"=<>!|&@$*?\\]|\\.)+")
_FILTER: Final = re.compile(r"\s*(?P<left>.+?)\s*(?P<operator>==|!=|<=|>=|<|>)\s*(?P<right>.+?)\s*$", re.DOTALL)
_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class _Text:
    text: str


@dataclass(frozen=True, slots=True)
class _Path:
    steps: Sequence[Step]
    absolute: bool = False
    """Begins with `$`: at the root also inside a range."""


@dataclass(frozen=True, slots=True)
class _Range:
    path: _Path
    body: "Sequence[_Text | _Path | _Range]"


_Node = _Text | _Path | _Range


def render(template: str, data: object) -> str:
    """The template with its expressions filled in from `data`; UsageError names what is wrong in the template."""
    return "".join(_render(parse_template(template), data, data))


def find(expression: str, data: object) -> list[Any]:
    """The values at one path; braces and the leading dot may be left out, as in `--sort-by` and custom columns."""
    text = expression.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    if not text.startswith((".", "$", "[", "@")):
        text = f".{text}"
    return list(_walk(_parse_path(text).steps, data))


def printed(value: object) -> str:
    """A value as JSONPath prints it: text bare, lists and mappings as JSON, null as nothing."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def parse_template(template: str) -> Sequence[_Node]:
    """The template's nodes; UsageError for one that cannot be read."""
    stack: list[list[_Node]] = [[]]
    heads: list[_Path] = []
    for kind, text in _pieces(template):
        if kind == "text":
            stack[-1].append(_Text(text))
        elif text == "end":
            if not heads:
                raise UsageError(f"jsonpath {template!r}: {{end}} without {{range}}")
            body = stack.pop()
            stack[-1].append(_Range(heads.pop(), body))
        elif text.startswith(("range ", "range\t")):
            heads.append(_parse_path(text[5:].strip()))
            stack.append([])
        else:
            stack[-1] += _parse_expression(text)
    if heads:
        raise UsageError(f"jsonpath {template!r}: {{range}} without {{end}}")
    return stack[0]


def _pieces(template: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(template):
        start = template.find("{", position)
        if start < 0:
            yield "text", template[position:]
            return
        if start > position:
            yield "text", template[position:start]
        end = _closing(template, start, "}")
        yield "expression", template[start + 1 : end].strip()
        position = end + 1


def _closing(text: str, start: int, closer: str) -> int:
    """The position of the bracket that closes the one at `start`, past quotes and inner brackets."""
    pairs = {"{": "}", "[": "]", "(": ")"}
    wanted = [closer]
    position = start + 1
    while position < len(text):
        char = text[position]
        if char == "\\":
            position += 1
        elif char in "'\"":
            position = _end_of_quote(text, position)
        elif char in pairs:
            wanted.append(pairs[char])
        elif char == wanted[-1]:
            wanted.pop()
            if not wanted:
                return position
        position += 1
    raise UsageError(f"jsonpath {text!r}: {text[start]!r} at column {start + 1} is not closed with {closer!r}")


def _end_of_quote(text: str, start: int) -> int:
    position = start + 1
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text[position] == text[start]:
            return position
        position += 1
    raise UsageError(f"jsonpath {text!r}: the quote at column {start + 1} does not end")


def _parse_expression(text: str) -> list[_Node]:
    nodes: list[_Node] = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
        elif text[position] in "'\"":
            end = _end_of_quote(text, position)
            nodes.append(_Text(_unquote(text[position : end + 1])))
            position = end + 1
        else:
            absolute = text[position] == "$"
            steps, position = _steps(text, position)
            nodes.append(_Path(steps, absolute))
    return nodes


def _unquote(text: str) -> str:
    escapes = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda match: escapes.get(match[1], match[1]), text[1:-1])


def _parse_path(text: str) -> _Path:
    if not text:
        raise UsageError("jsonpath: {range} needs a path, such as {range .items[*]}")
    steps, end = _steps(text, 0)
    if text[end:].strip():
        raise UsageError(f"jsonpath {text!r}: {text[end:]!r} is not understood")
    return _Path(steps, text.startswith("$"))


def _steps(text: str, position: int) -> tuple[list[Step], int]:
    start = position
    steps: list[Step] = []
    if text[position] in "$@":
        position += 1
    while position < len(text) and not text[position].isspace():
        char = text[position]
        if char == "[":
            end = _closing(text, position, "]")
            steps.append(_bracket(text[position + 1 : end].strip(), text))
            position = end + 1
            continue
        if text.startswith("..", position):
            steps.append(_descend)
            position += 2
        elif char == ".":
            position += 1
        elif position != start:
            break
        if position < len(text) and text[position] == "*":
            steps.append(_children)
            position += 1
            continue
        name = _NAME.match(text, position)
        if name is not None:
            steps.append(_member(re.sub(r"\\(.)", r"\1", name[0])))
            position = name.end()
        elif position < len(text) and not text[position].isspace() and text[position] not in "[.":
            raise UsageError(f"jsonpath {text!r}: {text[position:]!r} is not understood")
    return steps, position


def _bracket(inner: str, whole: str) -> Step:
    if inner == "*":
        return _children
    if inner.startswith("?(") and inner.endswith(")"):
        return _filter(inner[2:-1], whole)
    parts = _split(inner)
    if all(part[:1] in {"'", '"'} for part in parts) and parts:
        return _union([_member(_unquote(part)) for part in parts])
    try:
        return _union([_slice(part) for part in parts])
    except ValueError as error:
        raise UsageError(f"jsonpath {whole!r}: [{inner}] is neither an index, a slice, a name nor a filter") from error


def _split(inner: str) -> list[str]:
    parts, start, position = [], 0, 0
    while position < len(inner):
        if inner[position] in "'\"":
            position = _end_of_quote(inner, position)
        elif inner[position] == ",":
            parts.append(inner[start:position].strip())
            start = position + 1
        position += 1
    return [*parts, inner[start:].strip()]


def _member(name: str) -> Step:
    def step(values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            if isinstance(value, dict) and name in value:
                yield value[name]

    return step


def _children(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, list):
            yield from value


def _descend(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        yield value
        yield from _descend(_children([value]))


def _slice(text: str) -> Step:
    numbers = [int(part) if part.strip() else None for part in text.split(":")]
    if len(numbers) > 3 or numbers == [None] or (len(numbers) == 3 and numbers[2] is not None and numbers[2] < 1):
        raise ValueError(text)

    def step(values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            if not isinstance(value, list):
                continue
            if len(numbers) > 1:
                yield from value[slice(*numbers)]
            elif numbers[0] is not None and -len(value) <= numbers[0] < len(value):
                yield value[numbers[0]]

    return step


def _union(steps: Sequence[Step]) -> Step:
    def step(values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            for one in steps:
                yield from one([value])

    return step


def _filter(text: str, whole: str) -> Step:
    match = _FILTER.match(text)
    if match is None:
        exists = _operand(text.strip(), whole)
        return lambda values: (item for item in _children(values) if list(exists(item)))
    left, right = _operand(match["left"], whole), _operand(match["right"], whole)
    compare = _OPERATORS[match["operator"]]

    def step(values: Iterable[Any]) -> Iterator[Any]:
        for item in _children(values):
            ours, theirs = list(left(item)), list(right(item))
            try:
                if ours and theirs and compare(ours[0], theirs[0]):
                    yield item
            except TypeError:
                continue  # values of two types have no order

    return step


def _operand(text: str, whole: str) -> Callable[[Any], Iterable[Any]]:
    if text[:1] in {"'", '"'}:
        literal: Any = _unquote(text)
    elif text.startswith(("@", "$", ".")):
        steps = _parse_path(text).steps
        return lambda item: _walk(steps, item)
    else:
        try:
            literal = json.loads(text)
        except ValueError as error:
            raise UsageError(f"jsonpath {whole!r}: {text!r} is neither a path, a number nor quoted text") from error
    return lambda _: [literal]


def _walk(steps: Sequence[Step], data: Any) -> Iterator[Any]:
    values: Iterable[Any] = [data]
    for step in steps:
        values = step(values)
    yield from values


def _render(nodes: Sequence[_Node], data: Any, root: Any) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, _Text):
            yield node.text
        elif isinstance(node, _Path):
            values = _walk(node.steps, root if node.absolute else data)
            yield " ".join(printed(value) for value in values)
        else:
            for item in _walk(node.path.steps, root if node.path.absolute else data):
                yield from _render(node.body, item, root)
