"""Writing PromQL: every value that comes from a profile passes through here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

# The metacharacters of RE2, and of no other engine: \Q..\E is refused by promql-parser, `-` and `/` need no escape.
_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")

# Words of PromQL that promql-parser, or some supported Prometheus, does not read as the name of a label, in whatever
# case. All others (`on`, `by`, `bool` ...) may be one.
NO_LABELS = frozenset({
    "anchored", "fill", "fill_left", "fill_right", "inf", "nan", "offset", "smoothed", "without",
})  # fmt: skip


def quoted_string(text: str) -> str:
    """The text as a double-quoted PromQL string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@lru_cache(maxsize=4096)
def escaped(text: str) -> str:
    """The text as a regular expression that matches exactly this text."""
    return _SPECIAL.sub(r"\\\1", text)


def equals(label: str, value: str) -> str:
    """A matcher for one value."""
    return f"{label}={quoted_string(value)}"


def labelled(name: str, labels: Mapping[str, str]) -> str:
    """A series by its name (which may be empty) and its labels, in a fixed order."""
    return name + "{" + ",".join([equals(label, text) for label, text in sorted(labels.items())]) + "}"


def matcher(label: str, values: Iterable[str], *, negated: bool = False) -> str:
    """A matcher for any (or, negated, for none) of the values."""
    values = tuple(values)
    if len(values) == 1:
        return f"{label}{'!=' if negated else '='}{quoted_string(values[0])}"
    return f"{label}{'!~' if negated else '=~'}{quoted_string('|'.join(map(escaped, values)))}"


def matchers_of(selector: Iterable[tuple[str, Iterable[str]]]) -> str:
    """What stands between the braces for labels with the values that each may have."""
    return ", ".join(matcher(label, values) for label, values in selector)


def go_literal(text: str) -> str:
    """The text such that a Go template prints it as it is.

    Prometheus expands annotations and label values as templates; `{{ "{{" }}` prints two braces.
    """
    return text.replace("{{", '{{ "{{" }}')
