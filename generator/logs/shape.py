"""The shape of a filter expression: what is left when its literals are gone.

Follows the grammar of Milvus' boolean expressions (milvus.io/docs/boolean.md) as far as shapes need it; what is no
expression gets a shape as well. Work grows with the length of an expression only, and the size of a shape is bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

# Bounds of what is kept of one expression: terms that differ and tokens of a term, levels of brackets, and characters.
_TERMS, _TOKENS, _LEVELS = 16, 100, 1000
_NAME, _TEXT = 100, 4000

_STRING = r'"(?:[^"\\]|\\.)*+"?|\'(?:[^\'\\]|\\.)*+\'?'
_NUMBER = r"0[xX][0-9a-fA-F]++|(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"
_LITERAL = rf"(?:{_STRING}|[+-]?(?:{_NUMBER})|(?i:true|false)\b)"
_STRINGS = re.compile(_STRING, re.DOTALL)
_TOKEN = re.compile(
    rf"""
      (?P<list>\[\s*+(?:{_LITERAL}\s*+,?\s*+)++\])
    | (?P<literal>{_STRING}|{_NUMBER}|(?i:true|false)\b|\{{\s*+\w++\s*+\}})
    | (?P<keyword>(?i:and|or|not|in|like|is|null|exists)\b|&&|\|\|)
    | (?P<name>[^\W\d]\w*+(?:\s*+\[\s*+(?:{_STRING}|[0-9]++)\s*+\])*+)
    | (?P<open>[(\[])
    | (?P<close>[)\]])
    | (?P<operator>==|!=|<=|>=|<<|>>|\*\*|[^\s])
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What an expression looks like, and how much there is of what makes filters slow.

    `terms` are those of the longest chain of OR, `values` those of the longest list; `unanchored` says that
    a LIKE starts with a wildcard.
    """

    text: str
    terms: int
    values: int
    unanchored: bool


@dataclass(slots=True)
class _Level:
    """What is known of an expression between two brackets: alternatives (OR) of terms (AND) of tokens."""

    bracket: str = ""
    is_call: bool = False
    alternatives: dict[str, None] = field(default_factory=dict)
    count: int = 0
    terms: dict[str, None] = field(default_factory=dict)
    term_count: int = 0
    tokens: list[str] = field(default_factory=list)
    inner: _Level | None = None

    def add(self, token: str) -> None:
        self.inner = None
        if len(self.tokens) < _TOKENS:
            self.tokens.append(token[:_NAME])
        elif len(self.tokens) == _TOKENS:
            self.tokens.append("...")

    def add_separator(self, mark: str) -> None:
        self.inner = None
        if self.tokens and not self.tokens[-1].endswith(mark):
            self.tokens[-1] += mark

    def add_level(self, inner: _Level) -> None:
        """Takes what stood in brackets, as the arguments of a function or as part of a term."""
        text = f"({inner.text})" if inner.bracket == "(" else f"[{inner.text}]"
        if inner.is_call and self.tokens:
            self.tokens[-1] = (self.tokens[-1] + text)[:_TEXT]
            return
        alone = not self.tokens and inner.bracket == "("
        if len(self.tokens) < _TOKENS:
            self.tokens.append(text)
        self.inner = inner if alone else None

    def end_term(self) -> None:
        if not self.tokens:
            return
        # Brackets around one term add nothing.
        text = self.inner.text if self.inner and self.inner.count == 1 else " ".join(self.tokens)
        self.term_count += 1
        if len(self.terms) < _TERMS:
            self.terms[text[:_TEXT]] = None
        self.tokens = []

    def end_alternative(self) -> None:
        self.end_term()
        if self.inner and self.term_count == 1:
            # A chain in brackets is a part of the chain around it: `((a or b) or c)` has three terms.
            self.count += self.inner.count
            found = self.inner.alternatives
        elif self.terms:
            self.count += 1
            found = {_joined(self.terms, self.term_count, " and "): None}
        else:
            return
        for text in found:
            if len(self.alternatives) < _TERMS:
                self.alternatives[text] = None
        self.terms, self.term_count, self.inner = {}, 0, None

    @property
    def text(self) -> str:
        return _joined(self.alternatives, self.count, " or ")


def _joined(parts: dict[str, None], count: int, word: str) -> str:
    """The parts that differ, and a mark where there are more."""
    return word.join([*parts, *(["..."] if count > len(parts) else [])])[:_TEXT]


class _Reader:
    """Reads the tokens of an expression, and keeps what is open: a level for each bracket."""

    def __init__(self) -> None:
        self.levels = [_Level()]
        # Brackets that are too deep inside others to be looked into.
        self.hidden = 0
        self.terms = self.values = 0
        self.unanchored = False
        # An operand before a sign makes it binary; `like` before a literal makes it a pattern.
        self.operand = False
        self.last = ""

    def read(self, kind: str, text: str) -> None:
        if self.hidden:
            self.hidden += (kind == "open") - (kind == "close")
        elif kind == "open":
            self._open(text)
        elif kind == "close":
            self._close()
            self.operand = True
        elif kind in ("list", "literal", "name"):
            self.levels[-1].add(self._operand(kind, text))
            self.operand = True
        else:
            self._operator(kind, text)
            self.operand = False
        self.last = text.lower() if kind == "keyword" else ""

    def end(self) -> Shape:
        """What was read, as if all brackets were closed."""
        while len(self.levels) > 1:
            self._close()
        self._close()
        return Shape(self.levels[0].text, self.terms if self.terms > 1 else 0, self.values, self.unanchored)

    def _open(self, bracket: str) -> None:
        if len(self.levels) < _LEVELS:
            self.levels.append(_Level(bracket, is_call=bracket == "(" and self.operand))
        else:
            self.levels[-1].add("...")
            self.hidden = 1
        self.operand = False

    def _close(self) -> None:
        level = self.levels[-1]
        level.end_alternative()
        self.terms = max(self.terms, level.count)
        if len(self.levels) > 1:
            self.levels.pop()
            self.levels[-1].add_level(level)

    def _operand(self, kind: str, text: str) -> str:
        if kind == "name":
            return text
        if kind == "list":
            self.values = max(self.values, _STRINGS.sub("", text).count(",") + 1)
            return "[...]"
        self.unanchored = self.unanchored or (self.last == "like" and text[1:2] in ("%", "_"))
        return "?"

    def _operator(self, kind: str, text: str) -> None:
        level = self.levels[-1]
        if kind == "keyword":
            word = {"&&": "and", "||": "or"}.get(text) or text.lower()
            if word == "or":
                level.end_alternative()
            elif word == "and":
                level.end_term()
            else:
                level.add(word)
        elif text in ",;":
            level.add_separator(text)
        elif self.operand or text not in "+-":
            level.add(text)


def shape(expression: str) -> Shape:
    """The shape of an expression: `?` for a literal, `[...]` for a list of them, `...` for more of the same terms."""
    # Applications repeat themselves. What is long is not remembered, so that little is kept.
    return _remembered(expression) if len(expression) <= _TEXT else _shape(expression)


def _shape(expression: str) -> Shape:
    reader = _Reader()
    for match in _TOKEN.finditer(expression):
        reader.read(match.lastgroup or "", match[0])
    return reader.end()


_remembered = lru_cache(maxsize=256)(_shape)
