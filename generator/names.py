"""Placeholders for the texts in which profiles differ, so that what is compiled for one can serve the next.

Profiles often differ in nothing but names, selector values and a few thresholds. With placeholders in their place, a
profile shares most of its rules and tests, already written, with those before it; `put_back` then fills in its own
texts. Output is the same with and without: a placeholder stands only for text that is written as it is in every
language of the output (PromQL, YAML, JSON). A profile that has the placeholders' mark in a text of its own gets none,
and no template may have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

# In a label value, a name, or a regular expression, these characters need no escape.
_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
# In the text of an annotation, which is written as a JSON string and expanded by Prometheus.
_PLAIN_PROSE = re.compile(r"[A-Za-z0-9 .,;:()%+*/_<>=-]+")
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

    def stand_in(self, text: str, *, prose: bool = False) -> str:
        """A placeholder for the text; the text itself when it has to be escaped somewhere.

        `prose` is for text that is only ever written into annotations.
        """
        if self.unused or not (_PLAIN_PROSE if prose else _PLAIN).fullmatch(text):
            return text
        self.texts.append(text)
        return f"{MARK}{len(self.texts) - 1}{MARK}"

    def put_back(self, written: str) -> str:
        """What was written, with every text where its placeholder stands."""
        if self.unused or MARK not in written:
            return written
        parts = written.split(MARK)
        texts = {str(number): text for number, text in enumerate(self.texts)}
        parts[1::2] = map(texts.__getitem__, parts[1::2])
        return "".join(parts)

    def filled(self, pieces: Iterable[str]) -> bytes:
        """The pieces one after the other, encoded, with every text where its placeholder stands.

        Much faster than `put_back` for pieces that profiles share: where their placeholders stand is found once.
        """
        if self.unused:
            return "".join(pieces).encode()
        texts = [text.encode() for text in self.texts]
        filled: list[bytes] = []
        for piece in pieces:
            parts, numbers = _split(piece)
            start = len(filled)
            filled += parts
            filled[start + 1 :: 2] = [texts[number] for number in numbers]
        return b"".join(filled)


@lru_cache(maxsize=8192)
def _split(piece: str) -> tuple[list[bytes], list[int]]:
    """A piece cut at its placeholders: what stands around them, with gaps where they stood; and their numbers."""
    parts = piece.split(MARK)
    numbers = [int(part) for part in parts[1::2]]
    return [part.encode() for part in parts], numbers
