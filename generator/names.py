"""Placeholders for the texts in which profiles differ, so that what is compiled for one can serve the next.

Profiles often differ in nothing but names, selector values and a few thresholds. With placeholders in their place, a
profile shares most of its rules and tests, already written, with those before it; `put_back` then fills in its own
texts. Output is the same with and without: a placeholder stands only for text that is written as it is in every
language of the output (PromQL, YAML, JSON). A profile that has the placeholders' mark in a text of its own gets none,
and no template may have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from generator.conventions import OTHER

# What needs no escape: in a label value, a name, or a regular expression ...
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
# ... in the text of an annotation, which is written as a JSON string and expanded by Prometheus ...
PROSE = re.compile(r"[A-Za-z0-9 .,;:()%+*/_<>=`-]+")
# ... and names as the alternatives of a regular expression.
_NAMES = re.compile(rf"{NAME.pattern}(?:\|{NAME.pattern})*")
# Stands on both sides of a placeholder's number. A single character is what texts are split at fastest.
MARK = "^"


@dataclass
class Names:
    """The placeholders of one profile, in the order in which they were handed out; none when `unused`."""

    unused: bool = False
    texts: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, *settings: object) -> Names:
        """The placeholders for a profile with these settings."""
        return cls(unused=any(MARK in str(each) for each in settings))

    def stand_in(self, text: str, *, like: re.Pattern[str] = NAME) -> str:
        """A placeholder for the text; the text itself when it has to be escaped somewhere.

        What is `like` PROSE is only ever written into annotations.
        """
        if self.unused or not _is_plain(text, like):
            return text
        self.texts.append(text)
        return f"{MARK}{len(self.texts) - 1}{MARK}"

    def alternatives(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Placeholders for the first text, the second, and a regular expression that matches any of the rest.

        Nothing where there is no rest, or one of the texts has to be escaped somewhere.
        """
        if len(texts) < 3 or not all(_is_plain(text, NAME) for text in texts):
            return ()
        rest = self.stand_in("|".join(texts[2:]), like=_NAMES)
        return (self.stand_in(texts[0]), self.stand_in(texts[1]), rest)

    def put_back(self, written: str) -> str:
        """What was written, with every text where its placeholder stands."""
        if self.unused or MARK not in written:
            return written
        parts = written.split(MARK)
        texts = {str(number): text for number, text in enumerate(self.texts)}
        parts[1::2] = map(texts.__getitem__, parts[1::2])
        return "".join(parts)

    def filled(self, pieces: Iterable[Piece]) -> bytes:
        """The pieces one after the other, encoded, with every text where its placeholder stands."""
        texts = None if self.unused else self.texts
        filled: list[str] = []
        for piece in pieces:
            start = len(filled)
            filled += piece.parts
            filled[start + 1 :: 2] = [texts[number] for number in piece.numbers] if texts is not None else piece.marks
        return "".join(filled).encode()


def _is_plain(text: str, like: re.Pattern[str]) -> bool:
    """Whether a placeholder may stand for the text."""
    # What looks like a value that no matcher asks for is told apart by those who write tests.
    return like.fullmatch(text) is not None and not text.startswith(OTHER)


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """A part of a file that profiles share, cut where placeholders stand: `parts` has gaps there, for their texts.

    Much faster to fill in than a text, and much smaller: most of what stands between two placeholders recurs.
    """

    parts: tuple[str, ...]
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> Piece:
        """The piece of a text with placeholders."""
        parts = PLACEHOLDER.split(text)
        return cls(tuple(map(_same, parts)), tuple(map(int, parts[1::2])))

    @property
    def marks(self) -> list[str]:
        """The placeholders themselves: what stood in the text."""
        return [f"{MARK}{number}{MARK}" for number in self.numbers]


# Written as `stand_in` writes them: whatever else has marks around it stays as it is.
PLACEHOLDER = re.compile(rf"{re.escape(MARK)}(0|[1-9][0-9]*){re.escape(MARK)}", re.ASCII)


@lru_cache(maxsize=8192)
def _same(part: str) -> str:
    """The part, as the one string that all pieces have of it."""
    return part
