"""Rule templates: YAML data whose string fields are Jinja2, rendered once per rule.

A template file is parsed as YAML once, and only the strings in it are rendered, so that no value of a profile
can change the structure of what is written. All strings of one rule are compiled into one Jinja template and
rendered in one go: rendering a thousand profiles compiles each rule once.

Jinja's delimiters here are `<< >>` and `<% %>`, because `{{ }}` belongs to the annotations that Prometheus expands.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache, cached_property, reduce
from importlib import resources
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import jinja2
import yaml
from jinja2.bccache import bc_version
from jinja2.sandbox import SandboxedEnvironment

from generator import __version__, conventions
from generator.names import MARK
from generator.units import Duration, plain

_BETWEEN = "\x01"  # no white space to Jinja, and refused in every profile
LINE = "\x01line"  # the key under which `LineLoader` keeps the line of a mapping

Context = Mapping[str, Any]
Bindings = tuple[tuple[str, Any], ...]
# Of a `for_each`: variables, each with the values that it takes, or with a path that leads to them.
Loops = tuple[tuple[str, str | tuple[Any, ...]], ...]


class TemplateError(Exception):
    """A rule template is wrong: a bug of the template, not of a profile. Names its file, line and rule."""

    folder = "rules_templates"


@dataclass(frozen=True, eq=False)
class Leaves:
    """A YAML value whose templated strings are one Jinja template, compiled when it is first rendered."""

    skeleton: Any
    source: str

    @cached_property
    def template(self) -> jinja2.Template | None:
        return _compiled(self.source) if self.source else None

    def render(self, context: Context) -> Any:
        """The value with every string rendered. Raises jinja2.TemplateError and what expressions raise."""
        if self.template is None:
            return self.skeleton
        return _filled(self.skeleton, self.template.render(context).split(_BETWEEN))


@dataclass(frozen=True, eq=False)
class Variant:
    """One way to compute a rule, with what it requires of the release and of the profile."""

    name: str
    requires: Leaves
    when: str
    reason: Leaves
    body: Leaves  # expr, labels, severity, for, operation, summary, description, runbook, condition
    scenarios: Leaves


@dataclass(frozen=True, eq=False)
class RuleTemplate:
    """One entry of a template file; yields a rule for every combination of what it is `for_each`.

    A record can use the settings of an alert, which `settings_of` names. `part_of` names one that the record is there
    for alone: where one of the two is left out, so is the other. `verdict` are the records that an alert's verdict is
    made of: causes, circumstances, latency. `if_recorded` is a record that may be missing, as all alerts that it serves
    may be disabled: the variable `is_recorded` says whether it is there.
    """

    file: str
    line: int
    name: str
    is_alert: bool
    says: str
    for_each: Mapping[str, Any]
    variants: tuple[Variant, ...]
    level: str | Mapping[str, str] = ""
    metric: str = ""
    operation: str = ""
    windowless: bool = False
    unit: str = ""
    tier: str = ""
    cause: str = ""
    settings_of: str = ""
    part_of: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    evidence: str = ""
    verdict: tuple[str, ...] = ()
    if_recorded: str = ""
    fires_without_data: bool = False

    @property
    def alert(self) -> str:
        """The alert whose settings the entry uses; empty where it uses none."""
        return self.name if self.is_alert else self.part_of or self.settings_of

    def error(self, problem: object) -> TemplateError:
        return TemplateError(f"{self.file}:{self.line}: {self.name}: {problem}")

    @cached_property
    def loops(self) -> Loops:
        """The variables of `for_each`, each with its list, or the path of one."""
        return tuple((name, given if isinstance(given, str) else tuple(given)) for name, given in self.for_each.items())


@dataclass(frozen=True, slots=True)
class Topic:
    """One template file: the rules of one group, which is evaluated at least `interval` apart, if that is not 0.

    `metrics` are all that its rules may read, `reads` the groups before it whose series they may read.
    """

    file: str
    group: str
    order: int
    interval: Duration
    reads: tuple[str, ...]
    metrics: frozenset[str]
    rules: tuple[RuleTemplate, ...]


def combinations(loops: Loops, lists: Context) -> tuple[Bindings, ...]:
    """Every combination of values for the variables of a `for_each`.

    A path leads into `lists` and the variables before it. The variable `each` only serves such paths: rules do not see
    it.
    """
    combined: list[Bindings] = [()]
    for name, given in loops:
        longer = []
        for bound in combined:
            values = lookup(given, {**lists, **dict(bound)}) if isinstance(given, str) else given
            longer += [(*bound, (name, value)) for value in (values if isinstance(values, list | tuple) else (values,))]
        combined = longer
    return tuple(tuple(pair for pair in bound if pair[0] != "each") for bound in combined)


def lookup(path: str, context: Context) -> Any:
    """The value of a dotted path in the context, such as `scope.slow`."""
    name, *rest = path.split(".")
    return reduce(getattr, rest, context[name])


@dataclass(frozen=True, eq=False)
class Library:
    """All rule templates, in the order in which their groups are evaluated."""

    topics: tuple[Topic, ...]

    @cached_property
    def loops(self) -> tuple[Loops, ...]:
        """What rules are repeated for; many are for the same."""
        return tuple(dict.fromkeys(rule.loops for topic in self.topics for rule in topic.rules))

    @cached_property
    def alerts(self) -> dict[str, RuleTemplate]:
        """The alerts by name."""
        return {rule.name: rule for topic in self.topics for rule in topic.rules if rule.is_alert}

    @cached_property
    def records(self) -> dict[str, RuleTemplate]:
        """The recorded series by the name that templates call them."""
        return {rule.name: rule for topic in self.topics for rule in topic.rules if not rule.is_alert}


@cache
def load() -> Library:
    """The rule templates that Thresher ships. Raises TemplateError."""
    topics = [_topic(path.name, path.read_text("utf-8")) for path in shipped("rules_templates")]
    return Library(tuple(sorted(topics, key=lambda topic: (topic.order, topic.group))))


def shipped(folder: str) -> list[Any]:
    """The YAML files of a folder that Thresher ships, by name: from a wheel, or from the sources."""
    inside = resources.files("generator") / "data" / folder
    found: Any = inside if inside.is_dir() else Path(__file__).parent.parent / folder
    return sorted((path for path in found.iterdir() if path.name.endswith(".yaml")), key=lambda path: path.name)


class LineLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Loads template files; remembers the line of each mapping."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        mapping[LINE] = node.start_mark.line + 1
        return mapping


_KEYS = {
    "record", "alert", "says", "for_each", "level", "metric", "operation", "windowless", "unit", "labels", "requires",
    "expr", "scenarios", "variants", "severity", "for", "tier", "cause", "settings", "evidence",
    "settings_of", "part_of", "when", "reason", "summary", "description", "verdict", "runbook",
    "name",
    "fires_without_data", "if_recorded", LINE,
}  # fmt: skip
_BODY = ("expr", "labels", "severity", "for", "operation", "summary", "description", "runbook")


def parsed(file: str, text: str, refusal: type[TemplateError]) -> Any:
    """The YAML in the text of a file that Thresher ships, with lines of its maps. Raises the given kind of error."""
    if MARK in text:
        raise refusal(f"{file}: {MARK} marks the places of a profile's own texts: do without it")
    try:
        return _kept("yaml", text, lambda text: yaml.load(text, LineLoader))  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise refusal(f"{file}: {error}") from error


def _kept(kind: str, text: str, make: Callable[[str], Any]) -> Any:
    """What takes long to make of a text that Thresher ships: from a file beside compiled modules, if there is one.

    Where there can be none, it is made anew. Who reads the file while it is written finds all of it or nothing.
    """
    key = hashlib.sha256(_reader() + text.encode()).hexdigest()
    path = f"{_beside()}/{key}.{sys.implementation.cache_tag}.{kind}"
    with contextlib.suppress(OSError, EOFError, ValueError, TypeError), open(path, "rb") as file:
        return marshal.loads(file.read())  # noqa: S302 - trusted like the compiled modules that it lies beside
    made = make(text)
    if not sys.dont_write_bytecode:
        with contextlib.suppress(OSError):
            new = f"{path}.{os.getpid()}"
            Path(new).write_bytes(marshal.dumps(made))
            os.replace(new, path)
    return made


@cache
def _reader() -> bytes:
    """Tells what reads the texts, this module: what another version of it has made of them is of no use."""
    try:
        return hashlib.sha256(Path(__file__).read_bytes()).digest()
    except OSError:  # it does not lie in a directory
        return __version__.encode()


@cache
def _beside() -> str:
    """Where Python keeps the compiled modules of this folder."""
    return os.path.dirname(cache_from_source(__file__))


def one_line(text: str) -> str:
    """The text without the line breaks and the indentation that it has in its file."""
    return " ".join(text.split())


def _topic(file: str, text: str) -> Topic:
    data = parsed(file, text, TemplateError)
    try:
        conventions.group_name("profile", data["group"])
        rules = tuple(_rule(file, rule) for rule in data["rules"])
        interval = Duration.parse(data.get("interval", "0s"))
        return Topic(
            file,
            data["group"],
            data["order"],
            interval,
            tuple(data.get("reads", ())),
            frozenset(data["metrics"]),
            rules,
        )
    except (KeyError, ValueError) as error:
        raise TemplateError(f"{file}: {error}") from error


def _rule(file: str, data: dict[str, Any]) -> RuleTemplate:
    name = data.get("alert") or data["record"]
    where = f"{file}:{data[LINE]}: {name}"
    for part in (data, *data.get("variants", ())):
        if unknown := sorted(set(part) - _KEYS):
            raise TemplateError(f"{where}: unknown key {unknown[0]}")
    if "alert" in data:
        conventions.alert_name(name)
    return RuleTemplate(
        file=file,
        line=data[LINE],
        name=name,
        is_alert="alert" in data,
        says=data["says"],
        for_each={
            name: [_Item(item) for item in given] if isinstance(given, list) else given
            for name, given in _without_lines(data.get("for_each", {})).items()
        },
        variants=tuple(_variant(data, part) for part in data.get("variants", [{}])),
        level=_without_lines(data.get("level", "")),
        metric=data.get("metric", ""),
        operation=data.get("operation", ""),
        windowless=data.get("windowless", False),
        unit=data.get("unit", ""),
        tier=data.get("tier", ""),
        cause=data.get("cause", ""),
        settings_of=data.get("settings_of", ""),
        part_of=data.get("part_of", ""),
        settings=_without_lines(data.get("settings", {})),
        evidence=data.get("evidence", ""),
        verdict=tuple(data.get("verdict", ())),
        if_recorded=data.get("if_recorded", ""),
        fires_without_data=data.get("fires_without_data", False),
    )


def _variant(data: dict[str, Any], part: dict[str, Any]) -> Variant:
    body = {key: _without_lines({**data, **part}[key]) for key in _BODY if key in data or key in part}
    body["condition"] = data.get("when", "")
    return Variant(
        name=part.get("name", ""),
        requires=_leaves([*data.get("requires", []), *part.get("requires", [])]),
        when=part.get("when", ""),
        reason=_leaves(part.get("reason", "")),
        body=_leaves(body),
        scenarios=_leaves(_without_lines(part.get("scenarios", data.get("scenarios", [])))),
    )


def _without_lines(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_lines(inner) for key, inner in value.items() if key != LINE}
    return [_without_lines(item) for item in value] if isinstance(value, list) else value


class _Item(dict[str, Any]):
    """An entry of a list in `for_each`; the same object each time, so that it can be part of a cache's key."""

    __hash__ = object.__hash__  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class _Leaf:
    index: int


def _leaves(value: Any) -> Leaves:
    sources: list[str] = []

    def collect(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: collect(inner) for key, inner in part.items()}
        if isinstance(part, list):
            return [collect(item) for item in part]
        if isinstance(part, str) and ("<<" in part or "<%" in part):
            sources.append(part)
            return _Leaf(len(sources) - 1)
        return part

    skeleton = collect(value)
    return Leaves(skeleton, _BETWEEN.join(sources))


def _filled(skeleton: Any, parts: list[str]) -> Any:
    if isinstance(skeleton, _Leaf):
        return parts[skeleton.index]
    if isinstance(skeleton, dict):
        return {key: _filled(inner, parts) for key, inner in skeleton.items()}
    return [_filled(item, parts) for item in skeleton] if isinstance(skeleton, list) else skeleton


def _compiled(source: str) -> jinja2.Template:
    """The template of this text. Compiling all of them would take a third of the time of an ordinary build."""
    environment = _environment()
    code = _kept(f"{bc_version}.jinja", source, environment.compile)
    return jinja2.Template.from_code(environment, code, environment.make_globals(None))


@cache
def _environment() -> SandboxedEnvironment:
    return SandboxedEnvironment(
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
        undefined=jinja2.StrictUndefined,
        finalize=_printed,
        autoescape=False,
    )


def _printed(value: Any) -> Any:
    if isinstance(value, float):
        return plain(round(value, 9))
    return plain(value) if isinstance(value, Decimal) else value
