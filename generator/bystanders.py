"""Series that a rule must not read: for each matcher of its expression one that only this matcher keeps away.

They stand beside the others in the generated tests. A rule that has lost a matcher, or never had it, reads them and
says something else than it should.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from generator import conventions
from generator.catalog import View, exposed, of_exporters
from generator.promql.text import labelled

Labels = Mapping[str, str]

_SELECTOR = re.compile(r'([a-zA-Z_][\w:]*)\{((?:[^{}"]|"(?:[^"\\]|\\.)*")*)\}( <)?')
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"')
# More than any rule expects; what counts or compares differs whatever a bystander adds to it.
_MUCH = 1_000_000
# A quantile needs two buckets.
_BOUNDS = ({"le": "1"}, {"le": "+Inf"})


def bystanders(
    expr: str,
    samples: Iterable[Labels],
    target: tuple[str, ...],
    release: View,
    steps: int,
    only: Collection[str] | None = None,
) -> dict[str, str]:
    """Names with labels, and values in promtool's notation, for as many steps.

    `samples` are labels of series that the rule does read; of these labels, `target` are those that Milvus does not set
    itself. What is not recorded gets bystanders for the matchers of `only` these labels, if they are given. Matchers
    that keep something out (`!=`, `!~`) are left to the scenarios: what they keep out is often what another selector of
    the rule reads.
    """
    first, *others = samples
    found: dict[str, str] = {}
    for selector in _selectors(expr, target, release):
        name = selector.name
        values = f"0+{_MUCH}x{steps - 1}" if selector.is_counter else constant(str(selector.value), steps)
        tried = [each for each in selector.keeps_away if selector.is_recorded or only is None or each[0] in only]
        for sample in (first, *others) if selector.is_recorded or only else (first,):
            own = {label: text for label, other in selector.labels if (text := sample.get(label, other))}
            own |= {label: _one(texts, sample.get(label)) for label, texts in selector.read.items()}
            for label, other in tried:
                for bound in _BOUNDS if "histogram_quantile" in expr else ({},):
                    found[labelled(name, {**own, **bound, label: other})] = values
    return found


@dataclass(frozen=True, slots=True)
class _Selector:
    """A selector of an expression: what its matchers `read`, and what is tried that one of them `keeps_away`.

    `labels` are those of a series that it finds, each with a value for when there is no sample.
    """

    name: str
    read: Mapping[str, tuple[str, ...]]
    keeps_away: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, str], ...]
    is_recorded: bool
    is_counter: bool
    value: int


@lru_cache(maxsize=4096)
def _selectors(expr: str, target: tuple[str, ...], release: View) -> tuple[_Selector, ...]:
    words = frozenset(_WORD.findall(expr)), frozenset(_WORD.findall(_QUOTED.sub("", expr)))
    taken = {value for _, op, text in _MATCHER.findall(expr) for value in _values(text, op)}
    found = []
    for name, inside, below in dict.fromkeys(_SELECTOR.findall(expr)):
        read = {label: _values(text, op) for label, op, text in _MATCHER.findall(inside) if op in ("=", "=~")}
        tried = tuple(
            (label, conventions.other_than(texts[0], taken))
            for label, texts in read.items()
            if _keeps_away(name, label)
        )
        labels, value = tuple(_labels(name, *words, target, release)), 0 if below else _value(name)
        found.append(_Selector(name, read, tried, labels, ":" in name, _is_counter(name, release), value))
    return tuple(found)


_WORD = re.compile(r"\w+")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def constant(value: str, samples: int) -> str:
    """Promtool's notation for so many samples of one value. To YAML, `0x7` would be a hexadecimal number."""
    return f"{value}x{samples - 1}" if value != "0" else f"0+0x{samples - 1}"


def _one(values: tuple[str, ...], wanted: str | None) -> str:
    """The wanted value if it is one of these, or else the first of them."""
    return wanted if wanted in values else values[0]


def _keeps_away(name: str, label: str) -> bool:
    """Whether what fails a matcher of this label is no series that another rule of the profile reads.

    What is no collection (or operation) of one scope is one of another; only its own labels tell a recorded series from
    all that Thresher records.
    """
    return label in conventions.OWN_LABELS if ":" in name else label != "collection_name"


def _labels(
    name: str, words: frozenset[str], unquoted: frozenset[str], target: tuple[str, ...], release: View
) -> Iterator[tuple[str, str]]:
    """The labels of a series: its target's and the metric's, or those that the expression names if it is not Milvus'.

    With each comes a value for when there is no sample; an empty one where the label had better be left out then.
    `words` are all of the expression, `unquoted` those outside of strings.
    """
    if ":" in name or name in of_exporters():
        yield from ((word, "") for word in sorted(unquoted) if word != "le" or "_bucket" in name)
        return
    yield from ((label, "") for label in target)
    if found := exposed(release, name):
        yield from ((label, found[0].values.get(label, ("x",))[0]) for label in found[0].labels if label in words)


def _is_counter(name: str, release: View) -> bool:
    found = exposed(release, name)
    return found is not None and (found[0].type == "counter" or found[1] != "")


def _value(name: str) -> int:
    """A target that is down; much of anything else."""
    return 0 if name == "up" else _MUCH


def _values(text: str, op: str) -> tuple[str, ...]:
    """The values that a matcher matches, as it is written: of a pattern, each of its alternatives."""
    plain = _unescaped(text)
    patterns = _ALTERNATIVE.findall(plain.replace(_ENDING, "")) if "~" in op else ()
    return tuple(map(_unescaped, patterns)) or (plain,)


_ALTERNATIVE = re.compile(r"(?:\\.|[^\\|])+")
# What a bound may end in.
_ENDING = r"(\.0)?"


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
