"""Text -> values that know where they stand: YAML with any number of documents, or JSON.

Unlike `generator.source`, which reads profiles and refuses what people read in two ways, this takes what Prometheus,
Kubernetes and Grafana take: anchors, merge keys, tags. Both readers stop at a depth before they build anything deeper,
and values are not computed: a number is the text that stands in the file.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_DEPTH = 100

_JSON_TOKEN = re.compile(r'[ \t\r\n]*(?:("(?:[^"\\]|\\.)*")|([{}\[\],:])|([-+.\w]+))', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_CHARACTER = re.compile(_ESCAPE.pattern + "|.", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f"}
_NULL = ("", "~", "null", "Null", "NULL")


class Unreadable(Exception):
    """The text is no YAML or JSON. `offset` is where in the text, `wrong` and `right` are for people."""

    def __init__(self, offset: int, wrong: str, right: str) -> None:
        self.offset, self.wrong, self.right = offset, wrong, right
        super().__init__(wrong)


@dataclass(frozen=True, eq=False)
class Source:
    """The whole text of a file; `file` is what messages call it."""

    file: str
    text: str

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(found.end() for found in re.finditer("\n", self.text))]

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character, from 1."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


@dataclass(frozen=True, eq=False)
class Passage:
    """Text out of a file, without quotes and escapes, and where each of its characters stands there."""

    source: Source
    text: str
    offsets: Sequence[int]

    def position(self, offset: int = 0) -> tuple[int, int]:
        """Line and column in the file of a character of the text, from 1."""
        if not self.offsets:
            return 1, 1
        return self.source.position(self.offsets[max(0, min(offset, len(self.offsets) - 1))])


@dataclass(slots=True, eq=False)
class Node:
    """A value: a mapping, a list, a text or null, and from where to where it stands in its passage.

    `style` is the first character of a quoted or block scalar, and empty for any other value.
    """

    value: dict[str, Node] | list[Node] | str | None
    start: int
    end: int
    style: str = ""

    def get(self, *keys: str) -> Node:
        """The value under these keys; an empty one where there is none."""
        node = self
        for key in keys:
            node = (node.value.get(key) if isinstance(node.value, dict) else None) or _NOTHING
        return node

    @property
    def items(self) -> list[Node]:
        """The values of a list; none for anything else."""
        return self.value if isinstance(self.value, list) else []

    @property
    def entries(self) -> dict[str, Node]:
        """The entries of a mapping; none for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def text(self) -> str:
        """The text of a scalar; empty for anything else."""
        return self.value if isinstance(self.value, str) else ""

    def passage(self, outer: Passage) -> Passage:
        """The text of the node, out of the passage that it was read from."""
        return Passage(outer.source, self.text, _Aligned(self, outer))


_NOTHING = Node(None, 0, 0)


class _Aligned(Sequence[int]):
    """Where the characters of a scalar stand, computed when somebody asks: mostly nobody does."""

    def __init__(self, node: Node, outer: Passage) -> None:
        self._node, self._outer = node, outer

    @cached_property
    def _offsets(self) -> list[int]:
        inner = aligned(self._node.text, self._outer.text[self._node.start : self._node.end], self._node.style)
        return [self._outer.offsets[self._node.start + offset] for offset in inner]

    def __len__(self) -> int:
        return len(self._node.text)

    def __getitem__(self, index: Any) -> Any:
        return self._offsets[index]


def aligned(value: str, written: str, style: str) -> list[int]:
    """For each character of a scalar's value, its place in the scalar as it is written.

    A value holds the characters that are written in their order; what is left out in between are quotes, indentation
    and backslashes.
    """
    if style in ('"', "") and "\n" not in written:
        exact = _unescaped_places(written, style)
        if len(exact) == len(value):
            return exact
    if style == '"':
        units = [(_decoded(found[0]), found.start()) for found in _CHARACTER.finditer(written, 1)]
    else:
        body = written.find("\n") + 1 if style in ("|", ">") else len(style)
        units = [(char, index) for index, char in enumerate(written[body:], body)]
    places, here = [], 0
    for char in value:
        if not char.isspace():
            after = next((index for index in range(here, len(units)) if units[index][0] == char), None)
            if after is not None:
                places.append(units[after][1])
                here = after + 1
                continue
        places.append(units[min(here, len(units) - 1)][1] if units else 0)
        if style == '"' and here < len(units) and units[here][0] == char:
            here += 1
    return places


def _unescaped_places(written: str, style: str) -> list[int]:
    """The places of the characters of a scalar in one line, taking every escape for one of them."""
    places: list[int] = []
    start, end = len(style), len(written) - len(style)
    for found in _ESCAPE.finditer(written, start, end) if style else ():
        places += [*range(start, found.start()), found.start()]
        start = found.end()
    return [*places, *range(start, end)]


def _decoded(escape: str) -> str:
    if len(escape) == 1:
        return escape
    if len(escape) > 2:
        code = escape[2:]
        return chr(min(int(code, base=16), 0x10FFFF))
    return _ESCAPED.get(escape[1], escape[1])


def whole(file: str, text: str) -> Passage:
    """A file as a passage."""
    return Passage(Source(file, text), text, range(len(text)))


def documents(text: str, *, is_json: bool) -> list[Node]:
    """The documents of a text. Raises Unreadable."""
    return [_json(text)] if is_json else list(_yaml(text))


def looks_like_json(text: str) -> bool:
    """Whether the text is an object of JSON rather than YAML, going by its first characters."""
    return bool(re.match(r"\s*(?:\{\s*[\"}]|\[\s*[\"\]{\[])", text))


def _json(text: str) -> Node:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise Unreadable(
            error.pos, f"not JSON: {error.msg}", "check brackets, quotes and commas here and above"
        ) from None
    except (RecursionError, ValueError):  # nested too deep, or a number of thousands of digits
        raise Unreadable(0, "JSON that no program reads", "check how deep it is nested, and its numbers") from None
    root, key, position = _NOTHING, None, 0
    opened: list[Node] = []
    while found := _JSON_TOKEN.match(text, position):
        position = found.end()
        string, mark, plain = found.groups()
        if mark in (",", ":"):
            continue
        if mark in ("]", "}"):
            opened.pop().end = position
            continue
        holder = opened[-1].value if opened else None
        if mark:
            node = Node([] if mark == "[" else {}, position - 1, position)
        elif plain:
            node = Node(None if plain == "null" else plain, position - len(plain), position)
        else:
            inner = json.loads(string) if "\\" in string else string[1:-1]
            if isinstance(holder, dict) and key is None:
                key = inner
                continue
            node = Node(inner, position - len(string), position, '"')
        if isinstance(holder, list):
            holder.append(node)
        elif isinstance(holder, dict):
            holder[key or ""] = node
            key = None
        else:
            root = node
        if mark:
            opened.append(node)
            if len(opened) > MAX_DEPTH:
                raise Unreadable(position, f"nested deeper than {MAX_DEPTH} levels", "no rule or panel is that deep")
    return root


def _yaml(text: str) -> Iterator[Node]:
    loader = _Loader(text)
    try:
        yield from _Builder(loader.get_event).stream()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        wrong = f"not YAML: {error.problem or error.context}"
        raise Unreadable(mark.index if mark else 0, wrong, "check quotes, brackets and indentation") from None
    except yaml.YAMLError as error:  # characters that YAML does not have
        offset = getattr(error, "position", 0)
        raise Unreadable(offset, "not YAML: a character that it does not allow", "remove it") from None
    finally:
        loader.dispose()


class _Builder:
    """Values out of libyaml's events, which come from a state machine: depth is checked before anything is built."""

    def __init__(self, next_event: Any) -> None:
        self.next = next_event
        self.anchors: dict[str, Node] = {}

    def stream(self) -> Iterator[Node]:
        self.next()
        while not isinstance(self.next(), yaml.StreamEndEvent):
            self.anchors = {}
            yield self._node(self.next(), 1)
            self.next()

    def _node(self, event: Any, depth: int) -> Node:
        start, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise Unreadable(start, f"not YAML: there is no anchor `{event.anchor}` above", "check the name")
            return self.anchors[event.anchor]
        if depth > MAX_DEPTH:
            raise Unreadable(start, f"nested deeper than {MAX_DEPTH} levels", "no rule or panel is that deep")
        if isinstance(event, yaml.ScalarEvent):
            style = event.style or ""
            node = Node(None if not style and event.value in _NULL else event.value, start, end, style)
        elif isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(inner := self.next(), yaml.SequenceEndEvent):
                items.append(self._node(inner, depth + 1))
            node = Node(items, start, max(end, items[-1].end if items else end))
        else:
            node = self._mapping(event, depth)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _mapping(self, event: Any, depth: int) -> Node:
        entries: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        end = event.end_mark.index
        while not isinstance(key := self.next(), yaml.MappingEndEvent):
            name = self._node(key, depth + 1)
            value = self._node(self.next(), depth + 1)
            end = max(end, value.end)
            if name.text == "<<" and not name.style:
                for each in [value, *value.items]:
                    merged = {**each.entries, **merged}
            elif not isinstance(name.value, str):
                continue
            elif name.text in entries:
                wrong = f"not YAML that Prometheus reads: `{name.text}` is given twice"
                raise Unreadable(name.start, wrong, "keep one of the two")
            else:
                entries[name.text] = value
        return Node({**merged, **entries}, event.start_mark.index, end)
