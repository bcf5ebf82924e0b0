"""Files -> findings: reads them all, so that a record of one is known to the others, then checks every expression."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from generator.catalog import Release
from generator.findings import Finding, in_order
from generator.lint import nodes
from generator.lint.check import check
from generator.lint.codes import CODES, nearest
from generator.lint.complaints import Context
from generator.lint.content import UnknownContent, expressions
from generator.lint.dashboards import IGNORED, silenced_by
from generator.lint.expressions import Expression
from generator.lint.names import Labels, mentions_milvus
from generator.lint.nodes import Unreadable
from generator.lint.types import Vector
from generator.units import Duration

MAX_BYTES = 32 << 20
MAX_EXPRESSIONS = 50_000

_SUFFIXES = (".yaml", ".yml", ".json", ".rules")
_TEMPLATE = re.compile(
    r"\{\{-?\s*(?:if|else|end|range|with|define|include|template|tpl|toYaml|\.Values|\.Release|\.Chart|\$)"
)
_COMMENT = re.compile(r"(?:^|\s)#.*?" + IGNORED.pattern)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the files: findings, why some cannot be read, and how much was checked."""

    findings: tuple[Finding, ...]
    unreadable: tuple[Finding, ...]
    files: int
    expressions: int


@dataclass
class _Read:
    """What was read so far."""

    found: list[Expression] = field(default_factory=list)
    comments: dict[str, _Comments] = field(default_factory=dict)
    unreadable: list[Finding] = field(default_factory=list)
    files: int = 0


def lint(
    paths: Sequence[Path],
    release: Release,
    *,
    labels: Labels | None = None,
    scrape_interval: Duration | None = None,
    ignored: Iterable[str] = (),
) -> Report:
    """Checks rules and dashboards in files, or in directories of them, against a release.

    `labels` are those that scraping adds. Without a `scrape_interval`, 15 seconds are assumed. `ignored` are codes.
    """
    read = _Read()
    for path, name, is_given in _files(paths, read):
        _read(path, name, read, is_given=is_given)
    interval = scrape_interval or Duration.parse("15s")
    records = _records(read.found, release)
    context = Context(release, labels or Labels.of(()), interval, scrape_interval is not None, records)
    findings = [finding for comments in read.comments.values() for finding in comments.bad]
    recorded: set[str] = set()
    silenced = frozenset(ignored)
    # Records first: what reads one, anywhere, is checked with the type of what it yields.
    for expression in sorted(read.found, key=lambda each: not each.record):
        comments = read.comments[expression.passage.source.file]
        try:
            found, vector = check(expression, context)
        except Unreadable as error:
            read.unreadable.append(_unreadable(expression.passage.source, error))
            continue
        if expression.record in records:
            before = records[expression.record] if expression.record in recorded else None
            records[expression.record] = _merged(before, vector, expression)
            recorded.add(expression.record)
        findings += [each for each in found if not comments.silence(each, expression)]
    findings = [each for each in findings if each.code not in silenced]
    return Report(in_order(findings), in_order(read.unreadable), read.files, len(read.found))


def _records(found: Iterable[Expression], release: Release) -> dict[str, Vector]:
    """The names that rules record: nothing is known of them yet, but that they exist."""
    return {each.record: Vector() for each in found if each.record and not release.series(each.record)}


def _merged(before: Vector | None, vector: Vector, expression: Expression) -> Vector:
    """The type of a record; where several rules write it, they may only differ in the values of labels."""
    recorded = replace(
        vector,
        series=expression.record if vector.series else "",
        labels=vector.labels | frozenset(expression.labels),
        sure=vector.sure | frozenset(expression.labels),
        fixed=frozenset(each for each in vector.fixed if each[0] not in expression.labels)
        | frozenset(expression.labels.items()),
        conditional=False,
        metric=None,
        recorded=True,
        origin=None,
        at=0,
    )
    if before is None:
        return recorded
    common = before.fixed & recorded.fixed
    return replace(recorded, fixed=common) if replace(before, fixed=recorded.fixed) == recorded else Vector()


def _files(paths: Sequence[Path], read: _Read) -> Iterator[tuple[Path | None, str, bool]]:
    """The files to read with what to call them, and whether the user named them; None is standard input.

    Directories that cannot be read are noted.
    """

    def refuse(error: OSError) -> None:
        wrong = f"cannot be read: {error.strerror}"
        read.unreadable.append(
            Finding("error", str(error.filename), 0, 0, "", wrong, "make it readable, or leave it out")
        )

    for path in paths:
        if str(path) == "-":
            yield None, "standard input", True
        elif path.is_dir():
            for folder, folders, names in os.walk(path, onerror=refuse):
                folders[:] = sorted(each for each in folders if not each.startswith(".") and each != "node_modules")
                for name in sorted(names):
                    if name.endswith(_SUFFIXES):
                        yield Path(folder, name), str(Path(folder, name)), False
        else:
            yield path, str(path), True


def _read(path: Path | None, name: str, read: _Read, *, is_given: bool) -> None:
    """Reads one file. In a directory, what cannot be about Milvus is passed over."""
    try:
        text = _text(path)
    except Unreadable as error:
        read.unreadable.append(Finding("error", name, 0, 0, "", error.wrong, error.right))
        return
    if not is_given and not mentions_milvus(text) and "record" not in text:
        return
    outer = nodes.whole(name, text)
    is_json = name.endswith(".json") or nodes.looks_like_json(text)
    found: list[Expression] = []
    try:
        for document in nodes.documents(text, is_json=is_json):
            try:
                for expression in expressions(document, outer):
                    found.append(expression)
                    if len(found) > MAX_EXPRESSIONS:
                        raise Unreadable(0, f"more than {MAX_EXPRESSIONS} expressions", "split the file")
            except UnknownContent:
                if is_given:
                    wrong = "neither rules, nor a dashboard, nor a resource of Kubernetes"
                    right = "give a rule file (`groups:`), a PrometheusRule, a VMRule, or a dashboard as JSON"
                    read.unreadable.append(_unreadable(outer.source, Unreadable(document.start, wrong, right)))
    except Unreadable as error:
        if is_given or mentions_milvus(text):
            template = None if is_json else _TEMPLATE.search(text)
            read.unreadable.append(_unreadable(outer.source, _of_template(template.start()) if template else error))
        if not found:
            return
    read.files += 1
    read.found += found
    read.comments[name] = _Comments.of(name, text)


def _of_template(offset: int) -> Unreadable:
    right = "render it first: helm template . | thresher lint - --milvus ..."
    return Unreadable(offset, "a template rather than YAML, likely of Helm", right)


def _unreadable(source: nodes.Source, error: Unreadable) -> Finding:
    line, column = source.position(min(error.offset, max(len(source.text) - 1, 0)))
    return Finding("error", source.file, line, column, "", error.wrong, error.right)


def _text(path: Path | None) -> str:
    """The text of a file. Raises Unreadable when it is none."""
    right = "give a file of rules or a dashboard"
    try:
        if path is None:
            if sys.stdin is None:
                raise ValueError("it is closed")
            raw = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise Unreadable(0, "not a regular file", right)
            with open(path, "rb") as file:
                raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Unreadable(0, f"cannot be read: {reason}", right) from None
    if len(raw) > MAX_BYTES:
        raise Unreadable(0, f"more than {MAX_BYTES} bytes", "split the file")
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise Unreadable(0, f"byte 0x{raw[error.start]:02x} is not UTF-8", "save the file as UTF-8") from None


@dataclass(frozen=True)
class _Comments:
    """The comments of a file that silence findings: codes by line, those on lines of their own, and unknown codes."""

    codes: dict[int, frozenset[str]]
    alone: frozenset[int]
    bad: tuple[Finding, ...]

    @classmethod
    def of(cls, name: str, text: str) -> _Comments:
        codes: dict[int, frozenset[str]] = {}
        alone, bad = set(), []
        if "thresher:" not in text:
            return cls(codes, frozenset(), ())
        for number, line in enumerate(text.split("\n"), 1):
            if line.lstrip().startswith("#"):
                alone.add(number)
            if not (found := _COMMENT.search(line)):
                continue
            codes[number] = silenced_by(found[0])
            for code in sorted(codes[number] - CODES.keys()):
                right = f"did you mean {nearest(code)}?" if nearest(code) else f"there are {', '.join(CODES)}"
                wrong = f"there is no code `{code}` to ignore"
                bad.append(Finding("error", name, number, found.start(1) + 1, "", wrong, right, "bad-ignore"))
        return cls(codes, frozenset(alone), tuple(bad))

    def silence(self, finding: Finding, expression: Expression) -> bool:
        """Whether a comment on its line, or on lines of their own just above it, in or above its rule silences it."""
        if finding.code in expression.silenced:
            return True
        if not self.codes:
            return False
        first, last = expression.rule
        lines = {finding.line, expression.passage.position()[0], *(self.alone & set(range(first, last + 1)))}
        for start in (finding.line, first):
            above = start - 1
            while above in self.alone:
                lines.add(above)
                above -= 1
        return any(finding.code in self.codes.get(line, ()) for line in lines)
