"""The verdict: one line in an alert that ranks why a deployment is slow.

Such as `p99 2100 ms; 92% of it waiting for tSafe (consistency Strong); compactions pile up`. The causes are recorded
series whose label `finding` is the text. The annotation asks for them when the alert is evaluated: Prometheus, Thanos,
Mimir and vmalert all know the template functions `query`, `first` and `value`.
"""

from __future__ import annotations

from collections.abc import Iterable

from generator.promql.text import equals

# What the line says where no cause is known.
UNKNOWN = "No known cause takes most of the time"


def annotation(profile: str, identity: Iterable[str], causes: str, circumstances: str, p99: str) -> str:
    """The template of the line; `causes`, `circumstances` and `p99` are names of recorded series."""
    labels = tuple(identity)

    def ask(name: str, of: tuple[str, ...], sorted_by: str = "{}") -> str:
        """A query for the series of this profile that agree with the alert in these labels."""
        inside = ", ".join([equals("profile", profile), *(f"{label}=%q" for label in of)])
        values = " ".join(f"$labels.{label}" for label in of)
        return f"query (printf `{sorted_by.format(f'{name}{{{inside}}}')}` {values})"

    return (
        f"{{{{ with {ask(causes, labels, 'sort_desc(100 * {})')} }}}}"
        f"{{{{ with {ask(p99, (*labels, 'query_type'))} }}}}"
        'p99 {{ . | first | value | printf "%.0f" }} ms; '
        "{{ end }}"
        "{{ range $index, $cause := . }}{{ if $index }}, {{ end }}"
        '{{ $cause.Value | printf "%.0f" }}% of it {{ $cause.Labels.finding }}'
        "{{ end }}"
        f"{{{{ else }}}}{UNKNOWN}{{{{ end }}}}"
        f"{{{{ range {ask(circumstances, labels)} }}}}; {{{{ .Labels.finding }}}}{{{{ end }}}}"
    )
