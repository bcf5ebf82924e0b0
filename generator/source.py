"""YAML text -> plain data that remembers where each part stands.

Built from libyaml's events rather than through a loader, because a loader hides what must be refused
(duplicate keys, anchors, tags, `010` read as 8, `1:30` read as 90) and its composer recurses in C:
`yaml.load('[' * 100000, CSafeLoader)` ends the interpreter. Events come from a state machine, so depth,
size and count are checked before anything is built.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from generator.findings import Finding, Severity, quoted

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_BYTES = 1 << 20
MAX_VALUES = 50_000
MAX_DEPTH = 20
MAX_SCALAR = 4_096

Keys = tuple[str | int, ...]

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,17}")
# What YAML 1.1 readers, YAML 1.2 readers and people read in different ways. Quoting settles it.
_AMBIGUOUS = re.compile(
    r"""(?ix) yes|no|on|off                # true to some readers, text to others
    | true|false|null                              # in capitals; small letters mean what they say
    | [-+]?\.(inf|nan) | [-+]?(inf|nan)
    | [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?   # base 60
    | [-+]?0[0-9_]+ | [-+]?0[xob][0-9a-f_]+          # octal, hexadecimal, binary
    | \+[0-9._]+ | [-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)? | [-+]?[0-9]{19,}(\.[0-9]*)?
    | [-+]?(\.[0-9]+|[0-9]+\.?[0-9]*)e[-+]?[0-9]+ | [-+]?\.[0-9]+ | [-+]?[0-9]+\.
    | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.* | = | ~
    """
)


class Position(NamedTuple):
    """A place in a file; line and column count from 1. `keys` is the path of the setting in that file."""

    file: str
    line: int
    column: int
    keys: Keys


@dataclass(frozen=True, slots=True)
class Document:
    """The plain data of one file, and where each value and each key stands."""

    file: str
    data: dict[str, Any]
    values: Mapping[Keys, Position]
    keys: Mapping[Keys, Position]

    def position(self, keys: Keys, *, of_key: bool = False) -> Position:
        """Where the setting stands, or else the nearest part of the file that would hold it."""
        tables = (self.keys, self.values) if of_key else (self.values, self.keys)
        for end in range(len(keys), -1, -1):
            for table in tables:
                if keys[:end] in table:
                    found = table[keys[:end]]
                    return found._replace(keys=found.keys + keys[end:])
        return Position(self.file, 1, 1, keys)

    def finding(
        self, keys: Keys, wrong: str, right: str = "", *, of_key: bool = False, warning: bool = False
    ) -> Finding:
        """A finding about the setting at `keys`."""
        position = self.position(keys, of_key=of_key)
        severity: Severity = "warning" if warning else "error"
        return Finding(severity, position.file, position.line, position.column, dotted(position.keys), wrong, right)


def dotted(keys: Iterable[str | int]) -> str:
    """`("deployments", 3, "name")` as `deployments[3].name`; keys that are no plain names are quoted."""
    path = ""
    for key in keys:
        if isinstance(key, int):
            path += f"[{key}]"
        else:
            path += ("." if path else "") + (key if re.fullmatch(r"[\w./-]{1,80}", key, re.ASCII) else quoted(key))
    return path


def read(path: Path, name: str) -> tuple[Document | None, list[Finding]]:
    """Reads one YAML file: what of it can be used (None if nothing), and every mistake of its form.

    `name` is what messages call the file.
    """

    def refuse(wrong: str, right: str, line: int = 0, column: int = 0) -> tuple[None, list[Finding]]:
        return None, [Finding("error", name, line, column, "", wrong, right)]

    try:
        mode = os.stat(path)
        if not stat.S_ISREG(mode.st_mode):
            return refuse("not a regular file", "give the path of a YAML file")
        if mode.st_size > MAX_BYTES:
            return refuse(f"{mode.st_size} bytes", f"at most {MAX_BYTES} bytes: split the file")
        with open(path, "rb") as file:
            raw = file.read(min(mode.st_size, MAX_BYTES) + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return refuse(f"cannot be read: {reason}", "give the path of a readable YAML file")
    if len(raw) > mode.st_size:
        return refuse("grows while it is read", "wait until it is written")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        return refuse(f"byte 0x{raw[error.start]:02x} is not UTF-8", "save the file as UTF-8", line, column)
    return parse(text.removeprefix("\ufeff"), name)


def parse(text: str, name: str) -> tuple[Document | None, list[Finding]]:
    """Parses YAML text: what of it can be used (None if nothing), and every mistake of its form."""
    if bad := _FORBIDDEN.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        column = bad.start() - (text.rfind("\n", 0, bad.start()) + 1) + 1
        wrong = f"character U+{ord(bad[0]):04X}, which does not show"
        return None, [Finding("error", name, line, column, "", wrong, "remove it")]
    builder = _Builder(name, text)
    data = builder.build()
    document = Document(name, data, builder.values, builder.keys) if isinstance(data, dict) else None
    return document, builder.findings


# What stands for a value that cannot be used, after a finding about it.
_UNUSABLE = object()


class _Stop(Exception):
    """The rest of the file cannot be read in a useful way."""


@dataclass
class _Builder:
    file: str
    text: str
    findings: list[Finding] = field(default_factory=list)
    values: dict[Keys, Position] = field(default_factory=dict)
    keys: dict[Keys, Position] = field(default_factory=dict)
    count: int = 0

    def build(self) -> object:
        loader = _Loader(self.text)
        self.next = loader.get_event
        try:
            return self._document()
        except _Stop:
            return None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            wrong = f"not YAML: {error.problem or error.context}"
            there = self.text.split("\n")[line - 1 : line]
            tab = "".join(there).lstrip(" ").startswith("\t")
            hint = "indent with spaces, not tabs" if tab else "check quotes, brackets and indentation here and above"
            self.findings.append(Finding("error", self.file, line, column, "", wrong, hint))
            return None
        finally:
            loader.dispose()

    def _document(self) -> object:
        self.next()  # start of the stream
        event = self.next()
        if isinstance(event, yaml.StreamEndEvent):
            self._refuse(None, (), "the file is empty", "write at least `version: 1`")
            raise _Stop
        event = self.next()
        data = self._node(event, ())
        if not isinstance(data, dict) and data is not _UNUSABLE:
            self._refuse(event, (), "not a mapping", "write `key: value` lines")
        self.next()  # end of the document
        event = self.next()
        if not isinstance(event, yaml.StreamEndEvent):
            self._refuse(event, (), "a second YAML document", "put each profile into a file of its own")
        return data

    def _refuse(self, event: yaml.Event | None, path: Keys, wrong: str, right: str) -> None:
        mark = event.start_mark if event else None
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        self.findings.append(Finding("error", self.file, line, column, dotted(path), wrong, right))

    def _node(self, event: Any, path: Keys) -> object:
        mark = event.start_mark
        self.values[path] = Position(self.file, mark.line + 1, mark.column + 1, path)
        self.count += 1
        if self.count > MAX_VALUES:
            self._refuse(event, (), f"more than {MAX_VALUES} values", "split the file")
            raise _Stop
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, path, f"alias {quoted(f'*{event.anchor}')}", "write the value out, or use `extends`")
            return _UNUSABLE
        if event.anchor:
            self._refuse(event, path, f"anchor {quoted(f'&{event.anchor}')}", "write the value out, or use `extends`")
        if event.tag is not None:
            self._refuse(event, path, f"tag {quoted(event.tag)}", "remove it: plain and quoted values suffice")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if len(path) >= MAX_DEPTH:
            self._refuse(event, path[:3], f"nested deeper than {MAX_DEPTH} levels", "no setting is nested that deep")
            raise _Stop
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[object] = []
            while not isinstance(event := self.next(), yaml.SequenceEndEvent):
                items.append(self._node(event, (*path, len(items))))
            return _UNUSABLE if _UNUSABLE in items else items
        return self._mapping(path)

    def _mapping(self, path: Keys) -> dict[str, object]:
        data: dict[str, object] = {}
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._refuse(event, path, "a key that is no name", "use a plain name as the key")
                raise _Stop
            key = event.value
            inner = (*path, key)
            mark: Any = event.start_mark
            here = Position(self.file, mark.line + 1, mark.column + 1, inner)
            first = self.keys.setdefault(inner, here)
            if key == "<<" and event.implicit[0]:
                self._refuse(event, inner, "merge key", "write the settings out, or use `extends`")
            elif event.anchor or event.tag is not None:
                self._refuse(event, inner, "anchor or tag on a key", "remove it")
            elif first is not here:
                self._refuse(event, inner, f"given twice: first in line {first.line}", "keep one of the two")
            elif not isinstance(name := self._scalar(event, inner), str) and name is not _UNUSABLE:
                self._refuse(event, inner, f"key {quoted(key)} is not text", f'write "{key}" in quotes')
            value = self._node(self.next(), inner)
            if value is not _UNUSABLE:
                data[key] = value
        return data

    def _scalar(self, event: Any, path: Keys) -> object:
        text: str = event.value
        if len(text) > MAX_SCALAR:
            self._refuse(event, path, f"{len(text)} characters", f"at most {MAX_SCALAR}")
            return _UNUSABLE
        if bad := _FORBIDDEN.search(text):
            self._refuse(event, path, f"character U+{ord(bad[0]):04X}, which does not show", "remove it")
            return _UNUSABLE
        if not event.implicit[0]:  # quoted, or a block: text in any case
            return text
        value = _plain(text)
        if value is _UNUSABLE:
            wrong = f"{quoted(text)} is read in different ways by different YAML readers"
            self._refuse(
                event, path, wrong, "write text in quotes, numbers as plain decimals, and true or false in full"
            )
        return value


@lru_cache(maxsize=4096)
def _plain(text: str) -> object:
    """What a scalar without quotes means; _UNUSABLE when readers disagree."""
    if text in ("true", "false"):
        return text == "true"
    if text in ("", "null"):
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return _UNUSABLE if _AMBIGUOUS.fullmatch(text) else text
