"""The JSON Schema of profiles: composed, checked against, and its errors put into words."""

from __future__ import annotations

import copy
import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import resources
from typing import Any

from generator.findings import Finding, quoted
from generator.source import Document, Keys

Schema = dict[str, Any]

_NOT_IN_DEPLOYMENTS = {"version", "name", "extends", "base", "deployments", "target", "dashboards", "outputs"}
_KEEP_PLACES = ("deployments", "objectives")
_UNITS = {
    "ms": ("ms", "msec", "msecs", "milli", "millis", "millisecond", "milliseconds"),
    "s": ("s", "sec", "secs", "second", "seconds"),
    "m": ("m", "min", "mins", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "d": ("d", "day", "days"),
}
_NEAR_DURATION = re.compile(r"\s*\+?([0-9]{1,9}(?:[.,][0-9]{1,6})?)\s*([A-Za-z]+)\.?\s*")


def compose(alerts: Mapping[str, tuple[str, Mapping[str, object]]], evidence: Mapping[str, str]) -> Schema:
    """The whole schema: the fixed part, with the settings of every alert filled in.

    `alerts` maps the name of each alert to what it says and to its settings with their defaults, as its
    template has them; `evidence` says of some what their defaults rest on.
    """
    schema: Schema = json.loads((resources.files(__package__) / "schema.json").read_text("utf-8"))
    properties = schema["properties"]
    properties["alerts"]["properties"] = {
        name: {
            "description": says,
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "enabled": {
                    "description": "False leaves the alert out.",
                    "type": "boolean",
                    "default": True,
                    "x-write": "write true or false",
                },
                **{key: _setting(key, default) for key, default in settings.items()},
                "labels": {"description": "Labels added to the alert.", "$ref": "#/$defs/labels"},
                "annotations": {
                    "description": "Annotations added to the alert. The text is literal.",
                    "$ref": "#/$defs/annotations",
                },
            },
            "x-write": "write settings of the alert, such as {severity: warning}",
            **({"x-evidence": evidence[name]} if evidence[name] else {}),
        }
        for name, (says, settings) in alerts.items()
    }
    entry = properties["deployments"]["items"]
    entry["properties"] = {key: {"$ref": f"#/properties/{key}"} for key in properties if key not in _NOT_IN_DEPLOYMENTS}
    return schema


_SETTINGS = {
    "severity": ("severity", "Severity of the alert."),
    "for": ("duration", "How long the condition must hold before the alert fires."),
    "keep_firing_for": ("duration", "How long the alert keeps firing after the condition ended."),
    "quantile": ("quantile", "Share of the requests that must be faster than the threshold."),
    "min_request_rate": ("rate", "The alert stays silent below this rate of requests."),
    "least": ("amount", "The number from which on the condition holds."),
    "min_time": ("duration", "The alert stays silent while the mean time that it is about is no longer."),
}


def threshold_kind(default: object) -> str:
    """The kind of quantity (a name under `$defs`) that a default written in a template stands for."""
    text = str(default)
    if re.fullmatch(r"[0-9]+(?:ms|[smhd])", text):
        return "duration"
    return "rate" if "/" in text else "share" if "%" in text else "factor" if text.endswith("x") else "count"


def _setting(key: str, default: object) -> Schema:
    kind, says = _SETTINGS.get(key, (threshold_kind(default), "Where the alert's condition begins."))
    setting: Schema = {"description": says, "$ref": f"#/$defs/{kind}"}
    if default != "derived":
        setting["default"] = default
    return setting


class Validator:
    """Checks documents against a composed schema."""

    def __init__(self, schema: Schema) -> None:
        # Imported here because it takes longer than everything else that a command needs to start.
        from jsonschema import Draft202012Validator
        from jsonschema.validators import extend

        validator: Any = extend
        keywords = {"uniqueItems": _unique, "properties": _Properties()}
        self._validator = validator(Draft202012Validator, keywords)(_inlined(schema, schema))

    def check(self, document: Document) -> tuple[Document, list[Finding]]:
        """The document without what does not agree with the schema, and a finding for each such part.

        What is left can be checked further, so that one run reports mistakes of every kind.
        """
        findings: list[Finding] = []
        bad: list[Keys] = []
        for error in self._validator.iter_errors(document.data):
            for keys, finding in _findings(document, error):
                findings.append(finding)
                bad.append(keys)
        return (replace(document, data=_without(document.data, bad)) if bad else document), findings


class _Properties:
    """As jsonschema's own `properties`, but remembers what was found sound: profiles have much in common."""

    def __init__(self) -> None:
        self._sound: set[tuple[int, str]] = set()

    def __call__(self, validator: Any, properties: Mapping[str, Any], instance: Any, _: Any) -> Iterable[Any]:
        if not isinstance(instance, dict):
            return
        for key, part in properties.items():
            if key not in instance:
                continue
            known = id(part), repr(instance[key])
            if known in self._sound:
                continue
            errors = list(validator.descend(instance[key], part, path=key, schema_path=key))
            yield from errors
            if not errors and len(known[1]) <= _SHORT:
                if len(self._sound) == _MANY:
                    self._sound.clear()
                self._sound.add(known)


_SHORT, _MANY, _MANY_UNKNOWN = 200, 10_000, 1_000


def _unique(_: Any, wanted: bool, items: Any, __: Any) -> Iterable[Any]:
    """As jsonschema's own, but in linear time for whatever the items are."""
    from jsonschema import ValidationError

    if wanted and isinstance(items, list) and len({repr(item) for item in items}) < len(items):
        yield ValidationError("has the same item twice")


def _without(data: dict[str, Any], bad: Iterable[Keys]) -> dict[str, Any]:
    """A copy of the data without the given parts; a list that holds one of them goes as a whole.

    Only entries of some lists keep their places, for those after them.
    """
    data = copy.deepcopy(data)
    for keys in bad:
        first = 2 if keys[0] in _KEEP_PLACES else 0
        indices = [depth for depth, key in enumerate(keys) if isinstance(key, int) and depth >= first]
        part: Any = data
        *path, last = keys[: indices[0]] if indices else keys
        for key in path:
            part = part.get(key, {}) if isinstance(part, dict) else part[key]
        if isinstance(part, dict):
            part.pop(last, None)
        elif isinstance(part, list) and isinstance(last, int):
            part[last] = None
    return data


def _inlined(part: Any, schema: Schema) -> Any:
    """The schema with every reference replaced by its target: validating is three times as fast.

    In a pattern `$` is the end of the text. To Python's engine that is `\\Z`; `$` is also what a line break follows.
    """
    if isinstance(part, list):
        return [_inlined(item, schema) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        target: Any = schema
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return {**_inlined(target, schema), **{key: value for key, value in part.items() if key != "$ref"}}
    return {
        key: re.sub(r"\$(?=$|\|)", r"\\Z", value) if key == "pattern" else _inlined(value, schema)
        for key, value in part.items()
        if key != "$defs"
    }


def _findings(document: Document, error: Any) -> Iterable[tuple[Keys, Finding]]:
    """The parts of the document that one error is about, each with a finding."""
    keys: Keys = tuple(error.absolute_path)
    write = error.schema.get("x-write", "")
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        unknown = [key for key in error.instance if key not in known]
        for number, key in enumerate(unknown):
            at = (*keys, key)
            # So many are no slips of the pen, and comparing each with all names would take long.
            right = _suggestion(key, known) if number < _MANY_UNKNOWN else ""
            yield at, document.finding(at, "unknown key", right, of_key=True)
    elif error.validator == "required":
        for key in error.validator_value:
            if key not in error.instance:
                at = (*keys, key)
                yield at, document.finding(at, "missing", error.schema["properties"][key].get("x-write", ""))
    elif "propertyNames" in error.relative_schema_path:
        at = (*keys, error.instance)
        yield at, document.finding(at, f"{quoted(error.instance)} cannot be a name here", write, of_key=True)
    else:
        yield keys, document.finding(keys, *_value_problem(error, write))


def _value_problem(error: Any, write: str) -> tuple[str, str]:
    value, schema = error.instance, error.schema
    given = quoted(value)
    if value is None:
        return "no value", write
    if error.validator == "type":
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and write.startswith("write a duration"):
            return f"{given} has no unit", f"write {value}ms or {value}s" if value > 0 else write
        if number and "rate" in write:
            return f"{given} has no unit", f"write {value}/s or {value}/m"
        if number and "share" in write:
            return f"{given} has no unit", write
        if number and schema.get("type") == "string":
            return f"{given} is a number", write if "in quotes" in write else f"{write}, in quotes"
        if schema.get("type") == "number" and isinstance(value, str):
            return f"{given} is text", _quantile_hint(value, write)
        return f"{given} is {_kind(value)}", write
    if error.validator == "const" and type(value) is not type(error.validator_value):
        return f"{given} is {_kind(value)}", write
    if error.validator == "enum":
        return f"{given} is not known", _suggestion(value, schema["enum"], write)
    if error.validator in ("minimum", "maximum"):
        hint = _quantile_hint(value, write) if schema["type"] == "number" and value > 1 else write
        return f"{given} is not from {schema['minimum']} to {schema['maximum']}", hint
    if error.validator == "pattern" and "duration" in write:
        return f"{given} is {'negative' if value.startswith('-') else 'no duration'}", _duration_hint(value, write)
    if error.validator == "minProperties" or value in ([], "", {}):
        return "empty", write
    if error.validator == "contains":
        needed = error.validator_value["const"]
        return f"without {needed}", f"add {needed} to the list"
    if error.validator == "uniqueItems":
        return f"{given} has the same item twice", "keep one of the two"
    if error.validator == "maxLength":
        return f"{len(value)} characters", f"at most {error.validator_value}"
    if error.validator in ("maxItems", "maxProperties"):
        return f"{len(value)} entries", f"at most {error.validator_value}"
    return f"{given} is not allowed", write


def _kind(value: object) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a map"}
    return kinds.get(type(value), "of another kind")


def _suggestion(given: object, known: Iterable[str], otherwise: str = "") -> str:
    known = list(known)
    close = difflib.get_close_matches(str(given).lower(), [name.lower() for name in known], n=1, cutoff=0.6)
    if close:
        return "did you mean `" + next(name for name in known if name.lower() == close[0]) + "`?"
    if otherwise:
        return otherwise
    return f"known here: {', '.join(known)}" if len(known) <= 12 else "`thresher schema` lists what is known here"


def _quantile_hint(value: object, write: str) -> str:
    if isinstance(value, str) and re.fullmatch(r"0\.[0-9]{1,6}", value):
        return f"write {value} without quotes"
    percent = re.fullmatch(r"[pP]?([0-9]{2})(?:\.?([0-9]{1,3}))?%?", str(value))
    return f"did you mean 0.{percent[1]}{(percent[2] or '').rstrip('0')}?" if percent and int(percent[1]) else write


def _duration_hint(text: str, write: str) -> str:
    near = _NEAR_DURATION.fullmatch(text)
    for unit, spellings in _UNITS.items():
        if near and near[2].lower() in spellings:
            return f"did you mean {near[1].replace(',', '.')}{unit}?"
    return write
