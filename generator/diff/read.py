"""A directory, a file, or a git revision -> the rules and dashboards in it, whoever wrote them.

What a file holds is told by its content: rule files of Prometheus, Mimir and vmalert, PrometheusRule and VMRule
resources, Grafana dashboards (also in ConfigMaps and GrafanaDashboards), manifests and inhibition rules. Everything
else is passed over.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml

from generator import conventions
from generator.findings import EnvironmentProblem, Finding, InputError

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Deeper nesting is no rule file, and libyaml's composer would recurse until the interpreter ends.
_DEPTH = 200
_OF_INTEREST = re.compile(r"^\s*(?:- )?[\"']?(?:groups|inhibit_rules|(?:[\w.-]+\.)?json)[\"']?\s*:", re.MULTILINE)
_ENDINGS = (".yaml", ".yml", ".json")
# Where resources hold other files: by name, and the JSON of a dashboard as `json`.
_HOLDERS = {"ConfigMap": "data", "GrafanaDashboard": "spec"}

# What is read of a manifest (generator/manifest.py), as JSON Schema.
_TEXTS = {"type": "array", "items": {"type": "string"}}
_SELECTOR = {"type": "object", "additionalProperties": {"anyOf": [{"type": "string"}, _TEXTS]}}
_POINT = {
    "type": "object",
    "properties": {
        "threshold": {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$"},
        "milliseconds": {"type": "string", "pattern": r"^\d+(\.\d+)?$"},
    },
    "required": ["threshold"],
}
_MANIFEST = {
    "type": "object",
    "properties": {
        "milvus": {"type": "string"},
        "selector": {"type": "object", "additionalProperties": _TEXTS},
        "identity": _TEXTS,
        "deployments": {
            "type": "array",
            "items": {"type": "object", "properties": {"selector": _SELECTOR}, "required": ["selector"]},
        },
        "thresholds": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"operations": _TEXTS, "collections": _TEXTS, "histogram": {"type": "string"}},
                "required": ["operations"],
                "additionalProperties": _POINT,
            },
        },
        "left_out": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"rule": {"type": "string"}, "why": {"type": "string"}},
                "required": ["rule", "why"],
            },
        },
    },
    "required": ["milvus", "selector", "identity", "thresholds"],
}

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A recording or alerting rule as it stands in a file, formatting aside; durations are as written."""

    name: str
    is_alert: bool
    expr: str
    for_: str
    keep_firing_for: str
    labels: Pairs
    annotations: Pairs
    interval: str

    def label(self, name: str) -> str:
        return dict(self.labels).get(name, "")

    @property
    def shown(self) -> str:
        """The name, with the labels that tell the rule from others of the name."""
        return self.name + conventions.telling(self.labels, is_alert=self.is_alert)


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel of a dashboard: its title, with that of its row, and its queries."""

    title: str
    queries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A Grafana dashboard: its uid (or, without one, its title) and its panels."""

    uid: str
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Version:
    """One of the two sides of a comparison. Manifests are by profile, inhibition rules by file."""

    place: str
    rules: tuple[Rule, ...]
    dashboards: tuple[Dashboard, ...]
    manifests: Mapping[str, Any]
    inhibitions: Mapping[str, frozenset[str]]
    findings: tuple[Finding, ...]

    @property
    def empty(self) -> bool:
        return not (self.rules or self.dashboards)


def read(places: tuple[str, str]) -> tuple[Version, Version]:
    """Both sides. A revision without a path, beside a path, is meant at that path.

    Raises InputError for places that do not exist, and for files that were named and cannot be read;
    EnvironmentProblem without git, where a revision is given.
    """
    paths = [place for place in places if os.path.lexists(place)]
    findings: list[Finding] = []
    found = []
    for place in places:
        try:
            files = _on_disk(place) if place in paths else _in_git(place, beside=paths[0] if paths else "")
            found.append(_version(place, files, named=os.path.isfile(place)))
        except InputError as error:
            findings += error.findings
    if not findings and all(version.empty for version in found):
        wrong = "holds neither rules nor dashboards"
        findings = [_mistake(place, wrong, "give what `thresher build` wrote") for place in places]
    if findings:
        raise InputError(findings)
    old, new = found
    return old, new


def _mistake(place: str, wrong: str, right: str = "") -> Finding:
    return Finding("error", place, 0, 0, "", wrong, right)


def _on_disk(place: str) -> Iterator[tuple[str, bytes]]:
    try:
        if not os.path.isdir(place):
            yield os.path.basename(place), Path(place).read_bytes()
            return
        for directory, folders, names in os.walk(place, onerror=_refuse):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = Path(directory, name)
                if name.endswith(_ENDINGS) and path.is_file():
                    yield path.relative_to(place).as_posix(), path.read_bytes()
    except OSError as error:
        where = str(error.filename or place)
        raise InputError([_mistake(where, f"cannot be read: {error.strerror}")]) from error


def _refuse(error: OSError) -> None:
    raise error


def _in_git(place: str, beside: str) -> Iterator[tuple[str, bytes]]:
    """The files of a revision: of `REVISION:PATH`, or of a revision at the path that it is compared with."""
    revision, colon, path = place.partition(":")
    compared = Path(beside).resolve() if beside else Path.cwd()
    folder = compared if compared.is_dir() else compared.parent
    for where in (Path.cwd(), folder) if colon else (folder,):
        top = _git(where, "rev-parse", "--show-toplevel")
        known = _git(where, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        if top is not None and known is not None:
            root = Path(os.fsdecode(top.rstrip(b"\n")))
            break
    else:
        wrong = "is no file or directory, and no revision that git knows here"
        right = "give two directories, files, or revisions (also `main:monitoring`)"
        raise InputError([_mistake(place, wrong, right)])
    if not colon and beside:
        path = compared.relative_to(root.resolve()).as_posix()
    path = path.strip("/").removeprefix("./")
    listed = _git(root, "ls-tree", "-r", "-z", "--end-of-options", revision, *([path] if path not in ("", ".") else []))
    blobs = {}
    for entry in (listed or b"").split(b"\0")[:-1]:
        head, _, listed_as = entry.partition(b"\t")
        mode, kind, digest = head.split()
        name = os.fsdecode(listed_as)
        hidden = any(part.startswith(".") for part in name.removeprefix(path).split("/"))
        if kind == b"blob" and mode != b"120000" and name.endswith(_ENDINGS) and not hidden:
            blobs[name] = digest
    if colon and path and not blobs:
        raise InputError([_mistake(place, f"there is no rule file or dashboard at this path in {revision}")])
    content = _git(root, "cat-file", "--batch", given=b"".join(digest + b"\n" for digest in blobs.values())) or b""
    at = 0
    for name in blobs:
        end = content.index(b"\n", at)
        size = int(content[at:end].split()[2])
        yield os.path.relpath(name, path or os.curdir), content[end + 1 : end + 1 + size]
        at = end + size + 2


def _git(folder: Path, *command: str, given: bytes = b"") -> bytes | None:
    """What git prints; None when it refuses. Raises EnvironmentProblem where there is no git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *command],  # noqa: S607 - the one on PATH
            input=given,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise EnvironmentProblem("git was not found; it is needed to compare revisions") from error
    if b"dubious ownership" in done.stderr:
        raise EnvironmentProblem(os.fsdecode(done.stderr.strip()))
    return None if done.returncode else done.stdout


def _version(place: str, files: Iterable[tuple[str, bytes]], *, named: bool) -> Version:
    rules: dict[Rule, None] = {}
    dashboards: dict[str, Dashboard] = {}
    manifests: dict[str, Any] = {}
    inhibitions: dict[str, frozenset[str]] = {}
    findings = []
    for name, content in files:
        try:
            documents = list(_documents(name, content))
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            wrong = f"cannot be read: {' '.join(str(error).split())[:200] or 'it is nested too deeply'}"
            if named:
                raise InputError([_mistake(place, wrong)]) from error
            findings.append(Finding("warning", f"{place}: {name}", 0, 0, "", wrong, "it is left out of the comparison"))
            continue
        for data in documents:
            if "thresher" in data and isinstance(data.get("profile"), str):
                manifests |= {data["profile"]: data} if _is_of_rules(data) else {}
            elif isinstance(data.get("inhibit_rules"), list):
                inhibitions[name] = frozenset(json.dumps(each, sort_keys=True) for each in data["inhibit_rules"])
            elif (board := _board(data)) is not None:
                dashboard = _dashboard(board)
                dashboards[dashboard.uid] = dashboard
            else:
                rules |= dict.fromkeys(_rules(data))
    found = tuple(rules), tuple(dashboards.values())
    return Version(place, *found, manifests, inhibitions, tuple(findings))


def _is_of_rules(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest is that of a rule set, and holds what comparing needs; that of a fleet as a whole does not."""
    import jsonschema

    return jsonschema.Draft202012Validator(_MANIFEST).is_valid(manifest)


def _documents(name: str, content: bytes) -> Iterator[dict[str, Any]]:
    """The maps in a file that may be of interest. Raises yaml.YAMLError, ValueError, RecursionError."""
    text = content.decode("utf-8-sig")
    if name.endswith(".json"):
        loaded = [json.loads(text)]
    elif _OF_INTEREST.search(text):
        if _depth(text) > _DEPTH:
            raise RecursionError
        loaded = list(yaml.load_all(text, _Loader))
    else:
        return
    for data in loaded:
        if not isinstance(data, dict):
            continue
        held = list(_held(data))
        for inside, inner in held:
            yield from _documents(inside, inner.encode())
        if not held:
            yield data


def _held(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The files inside a ConfigMap, or a GrafanaDashboard."""
    kind = data.get("kind")
    held = data.get(_HOLDERS.get(kind, "")) if isinstance(kind, str) else None
    for key, inner in held.items() if isinstance(held, dict) else ():
        name = str(key) if kind == "ConfigMap" else f".{key}"
        if isinstance(inner, str) and name.endswith(_ENDINGS):
            yield name, inner


def _depth(text: str) -> int:
    """No less than how deeply a YAML text is nested."""
    flow = max(accumulate(1 if char in "[{" else -1 for char in re.findall(r"[\[\]{}]", text)), default=0)
    block = max((len(start) for start in re.findall(r"^(?:[ ]*[-?:] |[ ])+", text, re.MULTILINE)), default=0)
    return flow + block // 2


def _rules(data: Mapping[str, Any]) -> Iterator[Rule]:
    spec = data.get("spec")
    groups = data.get("groups") or (spec.get("groups") if isinstance(spec, dict) else None)
    for group in groups if isinstance(groups, list) else ():
        given = group.get("rules") if isinstance(group, dict) else None
        for rule in given if isinstance(given, list) else ():
            if isinstance(rule, dict) and "expr" in rule and ("alert" in rule or "record" in rule):
                yield _rule(rule, group)


def _rule(rule: Mapping[str, Any], group: Mapping[str, Any]) -> Rule:
    interval = group.get("interval")

    def text(key: str) -> str:
        return "" if rule.get(key) is None else str(rule[key])

    def pairs(*given: object) -> Pairs:
        return tuple(
            sorted({str(k): str(v) for each in given if isinstance(each, dict) for k, v in each.items()}.items())
        )

    return Rule(
        name=text("alert") or text("record"),
        is_alert="alert" in rule,
        expr=text("expr").strip(),
        for_=text("for"),
        keep_firing_for=text("keep_firing_for"),
        labels=pairs(group.get("labels"), rule.get("labels")),
        annotations=pairs(rule.get("annotations")),
        interval="" if interval is None else str(interval),
    )


def _board(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The dashboard that a document is, or that the API of Grafana has wrapped; None for anything else."""
    inner = data.get("dashboard")
    found = inner if isinstance(inner, dict) else data
    return found if any(isinstance(found.get(key), list) for key in ("panels", "rows")) else None


def _dashboard(data: Mapping[str, Any]) -> Dashboard:
    title = str(data.get("title") or "without a title")
    panels, rows = (each if isinstance(each, list) else [] for each in (data.get("panels"), data.get("rows")))
    # Before schema 16, panels were in rows only.
    in_rows = [{**row, "type": "row"} for row in rows if isinstance(row, dict)]
    return Dashboard(str(data.get("uid") or title), title, tuple(_panels([*panels, *in_rows])))


def _panels(given: Iterable[Any], row: str = "") -> Iterator[Panel]:
    for panel in given:
        if not isinstance(panel, dict):
            continue
        title = str(panel.get("title") or "without a title")
        if panel.get("type") == "row":
            row = title
            inside = panel.get("panels")
            yield from _panels(inside if isinstance(inside, list) else (), row)
            continue
        targets = panel.get("targets")
        queries = (
            [target.get("expr") for target in targets if isinstance(target, dict)] if isinstance(targets, list) else []
        )
        texts = tuple(" ".join(query.split()) for query in queries if isinstance(query, str))
        yield Panel(f"{title} ({row})" if row else title, texts)
