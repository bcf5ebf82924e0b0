"""Logs as streams of bytes -> the few lines that are worth a closer look, in flat memory.

A proxy logs much that is no slow query. Blocks of lines are searched as bytes, and only lines that hold
what is looked for are cut out.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

_BLOCK = 1 << 20
# A request with a filter of some megabytes is refused by most servers; its line is that long as well.
LONGEST = 4 << 20

# How files begin that would be searched in vain, and what to do about it.
_UNREADABLE = {
    b"\xff\xfe": ("UTF-16 text", "convert it, for example with `iconv -f UTF-16 -t UTF-8`"),
    b"\xfe\xff": ("UTF-16 text", "convert it, for example with `iconv -f UTF-16 -t UTF-8`"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "give it as `zstd -dc FILE | thresher logs`"),
    b"\xfd7zXZ": ("compressed with xz", "give it as `xz -dc FILE | thresher logs`"),
    b"BZh": ("compressed with bzip2", "give it as `bzip2 -dc FILE | thresher logs`"),
    b"PK\x03\x04": ("a zip archive", "give what is in it, as `unzip -p FILE | thresher logs`"),
}
# What stands at the beginning of a file that was truncated under a program that writes it.
_HOLE = b"\0"
_GZIP = b"\x1f\x8b"

# Container runtimes cut lines above 16 kB into pieces: CRI marks those that go on with P; docker, which makes a JSON
# object of each, leaves out the end of the line.
_MARKS = (b" stdout P ", b" stderr P ", b'{"log":"')
_DOCKERS = rb'\{"log":"[^\n]{16384,}(?<!\\n)","stream":"[^\n]*\n'
_GOES_ON = re.compile(rb"\S+ std(?:out|err) P [^\n]*\n|" + _DOCKERS)
# Two pieces, and what becomes of them: both in one, after the line ends of the first.
_PIECES = (
    (re.compile(rb"^(\S+ (std(?:out|err)) )P ([^\n]*)(\n+)\S+ \2 ([FP] )", re.MULTILINE), rb"\4\1\5\3"),
    (re.compile(rb'^(\{"log":"[^\n]{16384,})(?<!\\n)","stream":"[^\n]*(\n+)\{"log":"', re.MULTILINE), rb"\2\1"),
)


class Unreadable(Exception):
    """A log that cannot be read, or not to its end. Carries what is wrong and, if known, what to do."""

    def __init__(self, wrong: str, right: str = "") -> None:
        super().__init__(wrong, right)
        self.wrong, self.right = wrong, right


@dataclass(slots=True)
class Counts:
    """How much was read: lines, those among them that were passed over as too long, and bytes once unpacked."""

    lines: int = 0
    too_long: int = 0
    bytes: int = 0


def lines_with(mark: re.Pattern[bytes], stream: BinaryIO, counts: Counts) -> Iterator[tuple[int, bytes]]:
    """Every line that the mark is found in, with its number; counts what it reads.

    Streams that are packed with gzip are unpacked. Raises Unreadable.
    """
    before = counts.lines
    for block in _blocks(stream, counts):
        counted = 0
        for start, end in _found(mark, block):
            counts.lines += block.count(b"\n", counted, start)
            counted = start
            yield counts.lines - before + 1, block[start:end]
        counts.lines += block.count(b"\n", counted) + (not block.endswith(b"\n"))


def _found(mark: re.Pattern[bytes], block: bytes) -> Iterator[tuple[int, int]]:
    """Where lines with the mark begin and end."""
    end = 0
    while match := mark.search(block, end):
        start = block.rfind(b"\n", end, match.start()) + 1 or end
        end = block.find(b"\n", match.end())
        if end < 0:
            end = len(block)
        yield start, end


def _blocks(stream: BinaryIO, counts: Counts) -> Iterator[bytes]:
    """The stream in blocks of whole lines, without those that are too long."""
    # What there is of a line that has not ended, and whether it is one that is passed over.
    parts: list[bytes] = []
    size = 0
    passing = False
    for data in _read(stream):
        counts.bytes += len(data)
        start = data.find(b"\n") + 1 if passing else 0
        if passing and not start:
            continue
        passing = False
        end = data.rfind(b"\n") + 1
        rest = data[max(start, end) :]
        if end > start:
            whole = b"".join((*parts, data[start:end])).lstrip(_HOLE)
            in_pieces = any(mark in whole for mark in _MARKS)
            end = _end(whole) if in_pieces else len(whole)
            if end:
                yield _joined(whole[:end]) if in_pieces else whole
            parts, size = ([whole[end:]], len(whole) - end) if end < len(whole) else ([], 0)
        if not parts:
            rest = rest.lstrip(_HOLE)
        if rest:
            parts.append(rest)
            size += len(rest)
        if size > LONGEST:
            counts.lines += 1
            counts.too_long += 1
            parts, size, passing = [], 0, True
    if parts:
        yield _joined(b"".join(parts))


def _end(lines: bytes) -> int:
    """Where the last line ends that does not go on in the next one."""
    end = len(lines)
    while end and _GOES_ON.match(lines, start := lines.rfind(b"\n", 0, end - 1) + 1, end):
        end = start
    return end


def _joined(lines: bytes) -> bytes:
    """The lines with the pieces of each put together in the place of the last, so that they keep their number."""
    for pattern, whole in _PIECES:
        count = 1
        while count:
            lines, count = pattern.subn(whole, lines)
    return lines


def _read(stream: BinaryIO) -> Iterator[bytes]:
    """What the stream holds, unpacked, as soon as it is there."""
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", stream))
    try:
        beginning = buffered.peek(8)[:8]
        for magic, (wrong, right) in _UNREADABLE.items():
            if beginning.startswith(magic):
                raise Unreadable(wrong, right)
        source = gzip.GzipFile(fileobj=buffered) if beginning.startswith(_GZIP) else buffered
        while data := source.read1(_BLOCK):
            yield data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Unreadable(f"damaged gzip: {error}") from error
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from error
