"""What Grafana, or a deployment tool, fills into an expression before Prometheus sees it -> PromQL that parses.

A variable is replaced by something of its kind that no check mistakes for the author's: a name that says it is one, a
number that is not known, a duration that nobody writes. Raw strings become quoted ones, as promql-parser stumbles over
their backslashes, and comments blanks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from generator.promql.text import quoted_string

# The length of a window that is not known.
UNKNOWN_WINDOW = timedelta(seconds=424_243)

_PLACE = r"\$\{\w+(?:[.:][^}]*)?\}|\$\w+|\[\[\w+(?::\w+)?\]\]"
_VARIABLE = re.compile(_PLACE)
_TOKEN = re.compile(
    rf"""(?xs) (?P<string> "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' ) | (?P<raw> `[^`]*` ) | (?P<comment> \#[^\n]* )
    | (?P<range> \[ (?:{_PLACE}|[^\[\]])* \] ) | (?P<variable> {_PLACE} ) | (?P<other> [^"'`\#$\[]+ | . )"""
)
_SPECIAL = re.compile(r"[$`#]|\[\[")
_STAND_IN = re.compile(r"__variable_(\w+?)__")
_IN_BRACES = re.compile(r"\{[^{}]*$")
_IN_A_LIST = re.compile(r"(?:\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*|\{[^{}]*)$")


@dataclass(frozen=True, slots=True)
class Prepared:
    """PromQL, and for each of its characters its place in the expression as it was written."""

    text: str
    offsets: Sequence[int]
    has_variables: bool


def is_variable(text: str) -> bool:
    """Whether a name or a value of prepared PromQL holds a variable."""
    return "__variable_" in text


def as_written(text: str) -> str:
    """A name or a value of prepared PromQL as its author wrote it."""
    return _STAND_IN.sub(r"$\1", text)


def prepared(text: str) -> Iterator[Prepared]:
    """The ways to read an expression, most likely first: a lone variable may be a number, or a name."""
    if not _SPECIAL.search(text):
        yield Prepared(text, range(len(text)), has_variables=False)
        return
    first = _prepared(text, "NaN")
    yield first
    if first.has_variables:
        yield _prepared(text, "")


def _prepared(text: str, lone: str) -> Prepared:
    """`lone` stands for variables that could be a number; with an empty one they are names."""
    written, offsets = "", []
    variables = False
    for found in _TOKEN.finditer(text):
        token, kind = found[0], found.lastgroup
        if kind == "string":
            token = _VARIABLE.sub(lambda each: _name(each[0]), token)
        elif kind == "raw":
            token = quoted_string(_VARIABLE.sub(lambda each: _name(each[0]), token[1:-1]))
        elif kind == "comment":
            token = " " * len(token)
        elif kind == "range" and _VARIABLE.search(token):
            variables = True
            step = ":" if ":" in _VARIABLE.sub("", token) else ""
            token = f"[{_seconds()}{step}]"
        elif kind == "variable":
            variables = True
            following = text[found.end() :].lstrip()[:1]
            if re.search(r"\boffset\s+-?$", written):
                token = _seconds()
            elif re.search(r"[{,]\s*$", written) and following in ("}", ",") and _IN_BRACES.search(written):
                token = f'{_name(token)}="{_name(token)}"'
            elif (
                re.match(r"[\w:{\[$]", text[found.end() :].lstrip(" ")[:1])
                or written[-1:].isalnum()
                or written[-1:] in ("_", ":")
                or _IN_A_LIST.search(written)
                or not lone
            ):
                token = _name(token)
            else:
                token = lone
        written += token
        offsets += (
            list(range(found.start(), found.end()))
            if len(token) == len(found[0])
            else [min(found.start() + index, found.end() - 1) for index in range(len(token))]
        )
    return Prepared(written, offsets, variables)


def _name(variable: str) -> str:
    """What stands for a variable where a name or a text is wanted."""
    found = re.search(r"\w+", variable)
    return f"__variable_{found[0] if found else ''}__"


def _seconds() -> str:
    return f"{round(UNKNOWN_WINDOW.total_seconds())}s"
