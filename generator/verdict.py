"""The verdict: one line in an alert that ranks why a deployment is slow, or why its requests fail.

Such as `p99 2100 ms; 92% of it waiting for tSafe (consistency Strong); compactions pile up`. The causes are recorded
series whose label `finding` is the text. The annotation asks for them when the alert is evaluated: Prometheus, Thanos,
Mimir and vmalert all know the template functions `query`, `first` and `value`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from generator.promql.text import equals


def unknown(asked: Sequence[str]) -> str:
    """What the line says where no cause is known. `asked` is the third part of `annotation`, or just as long."""
    if len(asked) > _SEARCHES_FAIL:
        return "No known cause takes most of the time"
    return "Requests fail, and no cause of slow searches is known to hold"


# So many series are asked for where requests fail: there may be no latency to tell.
_SEARCHES_FAIL = 2


def annotation(profile: str, identity: Iterable[str], asked: Sequence[str], whose: str = "") -> str:
    """The template of the line.

    `asked` are the names of the recorded series of causes, of circumstances and, for an alert on latency, of the p99,
    which is that of `whose` requests if not of those that the alert is about.
    """
    labels = tuple(identity)
    causes, circumstances, *p99 = asked

    def ask(name: str, of: tuple[str, ...], form: str = "{}") -> str:
        """A query for the series of this profile that agree with the alert in these labels."""
        inside = [f"{label}=%[{number}]q" for number, label in enumerate(of, start=1)]
        series = f"{name}{{{', '.join([equals('profile', profile), *inside])}}}"
        values = " ".join(f"$labels.{label}" for label in of)
        return f"query (printf `{form.format(series)}` {values})"

    # What goes on at once, such as the search of segments, can add up to more than the whole time.
    shares = "sort_desc(100 * {0} / scalar(clamp_min(sum({0}), 1)))"
    if p99:
        latency = (
            f"{{{{ with {ask(p99[0], (*labels, 'query_type'))} }}}}"
            f'p99{whose} {{{{ . | first | value | printf "%.0f" }}}} ms; '
            "{{ end }}"
        )
        of = "of it"
    else:
        latency, of = "Requests fail, and those that do not are slow: ", "of their time"
    return (
        f"{{{{ with {ask(causes, labels, shares)} }}}}"
        f"{latency}"
        "{{ range $index, $cause := . }}{{ if $index }}, {{ end }}"
        f'{{{{ $cause.Value | printf "%.0f" }}}}% {of} {{{{ $cause.Labels.finding }}}}'
        "{{ end }}"
        f"{{{{ else }}}}{unknown(asked)}{{{{ end }}}}"
        f"{{{{ range {ask(circumstances, labels)} }}}}; {{{{ .Labels.finding }}}}{{{{ end }}}}"
    )
