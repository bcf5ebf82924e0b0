"""What the operators' resources may hold, as JSON Schema: an API server drops or refuses any other field.

Of `monitoring.coreos.com/v1` (prometheus-operator 0.95), `operator.victoriametrics.com/v1beta1` and
`grafana.integreatly.org/v1beta1`: the fields that rules and dashboards need, all of them strictly.
"""

from __future__ import annotations

from typing import Any

_DURATION = {
    "type": "string",
    "pattern": r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_NAME = {"type": "string", "pattern": r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


def _resource(api: str, kind: str, spec: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    metadata = _object(["name"], name=_NAME, namespace=_NAME, labels=_TEXTS, annotations=_TEXTS)
    return {
        (api, kind): _object(
            ["apiVersion", "kind", "metadata", "spec"],
            apiVersion={"const": api},
            kind={"const": kind},
            metadata=metadata,
            spec=spec,
        )
    }


_RULE = {
    **_object(
        ["expr"],
        record={"type": "string"},
        alert={"type": "string"},
        expr={"type": "string"},
        labels=_TEXTS,
        annotations=_TEXTS,
        **{"for": _DURATION, "keep_firing_for": {**_DURATION, "minLength": 1}},
    ),
    "oneOf": [{"required": ["record"]}, {"required": ["alert"]}],
}


def _groups(**own: Any) -> dict[str, Any]:
    group = _object(["name", "rules"], name={"minLength": 1}, interval=_DURATION, rules={"items": _RULE}, **own)
    return _object(["groups"], groups={"type": "array", "items": group})


RESOURCES = {
    **_resource(
        "monitoring.coreos.com/v1",
        "PrometheusRule",
        _groups(query_offset=_DURATION, partial_response_strategy={"pattern": "^(?i:abort|warn)?$"}),
    ),
    **_resource("operator.victoriametrics.com/v1beta1", "VMRule", _groups(eval_offset=_DURATION)),
    **_resource(
        "grafana.integreatly.org/v1beta1",
        "GrafanaDashboard",
        _object(
            ["instanceSelector", "json"],
            instanceSelector=_object(["matchLabels"], matchLabels=_TEXTS),
            json={"type": "string"},
            folder={"type": "string"},
        ),
    ),
}
