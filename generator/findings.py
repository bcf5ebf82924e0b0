"""Findings: what Thresher has to say about an input, as data, and the renderers that print it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal
from urllib.parse import quote

from generator import __version__

Severity = Literal["error", "warning", "note"]
Format = Literal["text", "json", "github", "sarif"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say about one place of an input file.

    `line` and `column` count from 1; 0 means the file as a whole. `path` is the dotted path of the
    setting. `wrong` says what is wrong (or noteworthy), `right` what would be right. `code` names the kind of finding,
    where there are kinds.
    """

    severity: Severity
    file: str
    line: int
    column: int
    path: str
    wrong: str
    right: str = ""
    code: str = ""

    @property
    def text(self) -> str:
        """The message without its position."""
        path = f"{self.path}: " if self.path else ""
        return f"{path}{self.wrong}" + (f"; {self.right}" if self.right else "")


class InputError(Exception):
    """The input is wrong (exit code 2). Carries every finding, errors and others."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = in_order(findings)
        super().__init__("\n".join(finding.text for finding in self.findings))


class EnvironmentProblem(Exception):
    """Something outside Thresher is missing or refuses to work (exit code 3)."""


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings without repetitions, sorted by file, line and column."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda f: (f.file, f.line, f.column, f.path)))


def has_errors(findings: Iterable[Finding]) -> bool:
    """Whether any of the findings keeps the input from being used."""
    return any(finding.severity == "error" for finding in findings)


def quoted(value: object, limit: int = 60) -> str:
    """A given value as a person can read it safely: cut, and with invisible characters escaped."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    cut = text[:limit] + ("…" if len(text) > limit else "")
    return "`" + visible(cut) + "`"


def visible(text: str) -> str:
    """The text with control, format and other characters that do not show escaped."""
    return "".join(
        char if unicodedata.category(char)[0] not in "CZ" or char == " " else f"\\u{ord(char):04x}" for char in text
    )


def render(findings: Iterable[Finding], form: Format, **more: object) -> str:
    """The findings as text for people, as JSON, as GitHub workflow commands, or as SARIF; no trailing newline.

    JSON is an object, which holds `more` beside the findings.
    """
    if form == "sarif":
        return sarif(findings, {})
    if form == "json":
        return json.dumps({"findings": [asdict(finding) for finding in findings], **more}, indent=2)
    return _text(findings) if form == "text" else _github(findings)


def _text(findings: Iterable[Finding]) -> str:
    return "\n".join(
        ":".join([visible(f.file), *([str(f.line), str(f.column)] if f.line else [])])
        + ": "
        + ("" if f.severity == "error" else f"{f.severity}: ")
        + f.text
        + (f" [{f.code}]" if f.code else "")
        for f in findings
    )


def _github(findings: Iterable[Finding]) -> str:
    kinds = {"error": "error", "warning": "warning", "note": "notice"}
    return "\n".join(
        f"::{kinds[f.severity]} file={_escaped(f.file, ':,')}"
        + (f",line={f.line},col={f.column}" if f.line else "")
        + (f",title={f.code}" if f.code else "")
        + f"::{_escaped(f.text)}"
        for f in findings
    )


def sarif(findings: Iterable[Finding], kinds: Mapping[str, str]) -> str:
    """The findings as a log of SARIF 2.1.0, the format of code scanning (docs.oasis-open.org/sarif/sarif/v2.1.0).

    `kinds` says what each code means.
    """
    findings = tuple(findings)
    codes = sorted({finding.code for finding in findings if finding.code} | kinds.keys())
    driver = {
        "name": "thresher",
        "version": __version__,
        "rules": [{"id": code, "shortDescription": {"text": kinds.get(code, code)}} for code in codes],
    }
    results = []
    for finding in findings:
        place: dict[str, object] = {"artifactLocation": {"uri": quote(finding.file.replace("\\", "/"))}}
        if finding.line:
            place["region"] = {"startLine": finding.line, "startColumn": max(finding.column, 1)}
        result: dict[str, object] = {
            "level": finding.severity,
            "message": {"text": finding.text},
            "locations": [{"physicalLocation": place}],
        }
        if finding.code:
            result |= {"ruleId": finding.code, "ruleIndex": codes.index(finding.code)}
        results.append(result)
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2)


def _escaped(text: str, also: str = "") -> str:
    """Percent-escapes what would end a GitHub workflow command or one of its properties."""
    for char in "%\r\n" + also:
        text = text.replace(char, f"%{ord(char):02X}")
    return text
