"""Checked settings -> Profile: defaults, what is inherited, and every rule that a schema cannot say."""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeVar

from generator import catalog, conventions, platforms
from generator.findings import Finding, quoted
from generator.profile.model import (
    OPERATIONS,
    TIERS,
    AlertSettings,
    Dashboards,
    Disk,
    Objective,
    Profile,
    Scope,
    Selector,
    Target,
    Texts,
    Threshold,
    Thresholds,
)
from generator.profile.schema import Schema, threshold_kind
from generator.promql.text import NO_LABELS
from generator.source import Document, Keys, Position
from generator.units import Duration, Factor, Rate, Share

T = TypeVar("T")

# A burn is told within three days: a period must be clearly longer.
_PERIOD = "30d"
_SHORTEST_PERIOD, _LONGEST_PERIOD = map(Duration.parse, ("7d", "90d"))
_NO_TIME, _MILLISECOND, _MAX_WHILE, MAX_DURATION = map(Duration.parse, ("0s", "1ms", "6h", "1d"))
# An instant query looks back 5 minutes for a sample: with longer intervals, series come and go.
# prometheus.io/docs/prometheus/latest/querying/basics/#staleness
MAX_INTERVAL = Duration.parse("5m")
# What to write where a disk may be that of any deployment.
SHARED_DISK = "write `shared` with the labels of the identity that the series of the disks carry, too, of"
# Every rule repeats a profile's selector, labels and collections, and every alert's tests its annotations.
MAX_REPEATED = 32_768
# Letters and marks that show nothing: fillers, the empty braille pattern, variation selectors and the like.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {chr(code) for code in range(0xFE00, 0xFE10)}
_AS_EMOJI = "\ufe0f"
_DEVICE_NAMES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}


@dataclass(frozen=True, eq=False)
class Defaults:
    """What holds where a profile says nothing, as the schema and the rule templates have it."""

    settings: Mapping[str, Any]
    thresholds: Mapping[str, str]
    alerts: Mapping[str, Mapping[str, object]]

    @classmethod
    def of(cls, schema: Schema, alerts: Mapping[str, Mapping[str, object]]) -> Defaults:
        def defaults(properties: Schema) -> dict[str, Any]:
            return {key: part["default"] for key, part in properties.items() if "default" in part}

        return cls(defaults(schema["properties"]), defaults(schema["$defs"]["thresholds"]["properties"]), alerts)


def merged(base: Document, over: Document) -> Document:
    """`over` on top of `base`: maps are merged key by key, anything else is replaced."""

    def both(one: Any, other: Any) -> Mapping[Keys, Position]:
        return ChainMap(one, other)  # only read

    values, keys = both(over.values, base.values), both(over.keys, base.keys)
    return Document(over.file, _merged(base.data, over.data), values, keys)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in over.items()
    }
    return {**base, **both}


def resolve(document: Document, defaults: Defaults, *, is_base: bool = False) -> tuple[Profile | None, list[Finding]]:
    """The profile that the settings describe, and what there is to say about them.

    With an error among the findings the profile is not to be compiled; it is None when not even its thresholds
    are known, and for a base, which is only checked as far as it goes.
    """
    work = _Resolver(document, defaults)
    return work.profile(is_base=is_base), work.findings


class _Resolver:
    def __init__(self, document: Document, defaults: Defaults) -> None:
        self.document, self.defaults = document, defaults
        self.data: Mapping[str, Any] = {**defaults.settings, **document.data}
        self.findings: list[Finding] = []

    def refuse(self, keys: Keys, wrong: str, right: str, *, of_key: bool = False) -> None:
        self.findings.append(self.document.finding(keys, wrong, right, of_key=of_key))

    def warn(self, keys: Keys, wrong: str, right: str) -> None:
        self.findings.append(self.document.finding(keys, wrong, right, warning=True))

    def given(self, *candidates: Keys) -> Keys:
        """The first of these settings that was written down."""
        return next((keys for keys in candidates if keys in self.document.values), candidates[0])

    def profile(self, *, is_base: bool) -> Profile | None:
        data = self.data
        if not is_base:
            for key, right in (
                ("name", "write a name such as prod-search"),
                ("milvus", 'write the release that the deployment runs, such as "2.6.19"'),
                ("selector", "write the target labels of the deployment, such as {namespace: vectors}"),
            ):
                if key not in data and (key,) not in self.document.values:
                    self.refuse((key,), "missing", right)
        name = data.get("name", "")
        if name in _DEVICE_NAMES:
            self.refuse(("name",), f"{quoted(name)} is a device on Windows, no directory", "choose another name")
        release = self.release()
        selector = self.selector(("selector",))
        identity = self.identity(selector, release)
        disk = self.disk(selector, identity, is_base=is_base)
        scrape = self.duration(("scrape_interval",), limit=MAX_INTERVAL)
        evaluation = self.duration(("evaluation_interval",), limit=MAX_INTERVAL)
        window = self.duration(("window",))
        if window.milliseconds < 4 * scrape.milliseconds:
            self.refuse(
                self.given(("window",), ("scrape_interval",)),
                f"{window} is less than 4 scrape intervals of {scrape}: one lost scrape leaves a rate without a value",
                f"write at least {Duration(4 * scrape.milliseconds)}",
            )
        elif evaluation > window:
            self.refuse(
                self.given(("evaluation_interval",), ("window",)),
                f"{evaluation} is longer than the window ({window}): what happens in between would go unseen",
                f"write at most {window}, or a longer window",
            )
        scopes = self.scopes(release)
        objectives = self.objectives(release)
        span = self.duration(("server_slow_query_span",)) if "server_slow_query_span" in data else None
        labels = self.texts(("labels",), labels=True, identity=identity)
        annotations = self.texts(("annotations",), labels=False)
        alerts = dict(_default_settings(self.defaults, window))
        for alert, given in self.data.get("alerts", {}).items():
            if given:
                alerts[alert] = self.alert(alert, given, (labels, annotations), identity, evaluation, window)
        self.hasty(alerts, window)
        target, dashboards = self.target(is_base=is_base), self.dashboards(is_base=is_base)
        if is_base or release is None or not scopes:
            return None
        return Profile(
            name=name,
            milvus=release.name,
            selector=selector,
            identity=identity,
            scrape_interval=scrape,
            evaluation_interval=evaluation,
            window=window,
            snap=data["snap"],
            scopes=scopes,
            objectives=objectives,
            server_slow_query_span=span,
            cpus=float(data["cpus"]) if "cpus" in data else None,
            disk=disk,
            labels=labels,
            annotations=annotations,
            alerts=alerts,
            runbook_base_url=data.get("runbook_base_url", "").rstrip("/"),
            dashboard_url=data.get("dashboard_url", ""),
            target=target,
            dashboards=dashboards,
            outputs=frozenset(self.data["outputs"]),
            digest=digest(self.document.data),
            document=self.document,
        )

    def release(self) -> catalog.Release | None:
        try:
            return catalog.release(self.data["milvus"]) if "milvus" in self.data else None
        except catalog.UnknownRelease as unknown:
            why = f": {unknown.why}" if unknown.why else ""
            meant = unknown.name.strip().lstrip("vV")
            right = f"nearest known: {', '.join(unknown.nearest)}"
            if meant in catalog.releases() or meant in catalog.branches():
                right = f"did you mean {meant}?"
            self.refuse(("milvus",), f"release {quoted(unknown.name)} is not in the catalog{why}", right)
            return None

    def selector(self, at: Keys) -> Selector:
        """The labels at `at`, each with its values, checked."""
        found: Any = self.data
        for key in at:
            found = found.get(key, {})
        selector = []
        for label, given in found.items():
            values = tuple(given) if isinstance(given, list) else (given,)
            for index, value in enumerate(values):
                keys = (*at, label, index) if isinstance(given, list) else (*at, label)
                self.check_text(keys, value)
                if value != value.strip():
                    self.refuse(keys, f"{quoted(value)} begins or ends with a blank", "remove it")
                elif re.match(r"[=!~]", value) or re.search(r"\.[*+]|\|", value):
                    self.warn(
                        keys,
                        f"{quoted(value)} looks like a pattern, but is matched letter by letter",
                        "write every value out, as a list",
                    )
            if label.startswith("__"):
                self.refuse((*at, label), "a label that Prometheus keeps to itself", "use a target label", of_key=True)
            elif label.lower() in NO_LABELS:
                self.refuse((*at, label), _WORD_OF_PROMQL, "use another label", of_key=True)
            selector.append((label, values))
        self.check_length(at, (value for _, values in selector for value in values))
        return tuple(selector)

    def identity(self, selector: Selector, release: catalog.Release | None) -> tuple[str, ...]:
        identity = tuple(self.data.get("identity", [label for label, _ in selector]))
        taken = catalog.milvus_labels(release.branch) if release else frozenset()
        places: dict[str, Keys] = {label: ("selector", label) for label, _ in selector}
        places |= {label: ("identity", index) for index, label in enumerate(self.data.get("identity", ()))}
        for label, keys in places.items():
            if label in taken:
                self.refuse(
                    keys,
                    f"{quoted(label)} is a label that Milvus puts on some of its metrics",
                    "use labels that Prometheus puts on every series of the target",
                    of_key="selector" in keys,
                )
            elif label in conventions.OWN_LABELS:
                self.refuse(
                    keys,
                    f"{quoted(label)} is a label that Thresher sets itself",
                    "use a target label",
                    of_key="selector" in keys,
                )
            elif label.startswith("__") and "identity" in keys:
                self.refuse(keys, f"{quoted(label)} is a label that Prometheus keeps to itself", "use a target label")
            elif label.lower() in NO_LABELS and "identity" in keys:
                self.refuse(keys, f"{quoted(label)}: {_WORD_OF_PROMQL}", "use another label")
        return identity

    def disk(self, selector: Selector, identity: tuple[str, ...], *, is_base: bool) -> Disk | None:
        """The disks of the deployment, if the profile names them."""
        given = self.data.get("disk")
        if given is None:
            return None
        for key, right in (
            ("exporter", f"write one of {', '.join(catalog.DISK_TIME)}"),
            ("selector", 'write labels that select the disks, such as {instance: "milvus-0:9100", device: nvme0n1}'),
        ):
            if ("disk", key) not in self.document.values and not is_base:
                self.refuse(("disk",), f"`{key}` is missing", right, of_key=True)
        shared = tuple(given.get("shared", ()))
        for index, label in enumerate(shared):
            if label not in identity and identity:
                wrong = f"{quoted(label)} is no label of the identity"
                self.refuse(("disk", "shared", index), wrong, f"the identity is {', '.join(identity)}")
        fixed = {label for label, values in selector if len(values) == 1}
        if not shared and not fixed.issuperset(identity) and not is_base:
            wrong = "the profile matches several deployments, and nothing says whose disk is whose"
            self.refuse(("disk",), wrong, f"{SHARED_DISK}: {', '.join(identity)}", of_key=True)
        disks = self.selector(("disk", "selector"))
        return Disk(given["exporter"], disks, shared) if disks and "exporter" in given else None

    def scopes(self, release: catalog.Release | None) -> tuple[Scope, ...]:
        data = self.data
        operations = [name for name in OPERATIONS if release is None or name in offered_operations(release)]
        for name in data.get("operations", {}):
            if name not in operations and release:
                self.warn(
                    ("operations", name), f"Milvus {release.name} has no {name}", "these thresholds have no effect"
                )
        self.check_length(("collections",), data.get("collections", ()))
        scopes = []
        checked: set[tuple[Keys, ...]] = set()
        for collection in (None, *data.get("collections", {})):
            for operation in operations:
                chain = [((), data), (("operations", operation), data.get("operations", {}).get(operation, {}))]
                if collection:
                    chain.append((("collections", collection), data["collections"][collection]))
                texts, places = dict(self.defaults.thresholds), {tier: ("thresholds", tier) for tier in TIERS}
                for prefix, level in chain:
                    for tier, text in level.get("thresholds", {}).items():
                        texts[tier], places[tier] = text, (*prefix, "thresholds", tier)
                found = {tier: self.parsed(places[tier], Duration.parse, texts[tier]) for tier in TIERS}
                if tuple(places.values()) not in checked:
                    checked.add(tuple(places.values()))
                    self.check_order(found, places)
                if all(found.values()):
                    scopes.append(
                        Scope(
                            collection, operation, Thresholds(**{tier: found[tier] or MAX_DURATION for tier in TIERS})
                        )
                    )
        return tuple(scopes)

    def objectives(self, release: catalog.Release | None) -> tuple[Objective, ...]:
        """The objectives, each of another tier or of other operations."""
        offered = offered_operations(release) if release else OPERATIONS
        found: list[Objective] = []
        for index, given in enumerate(self.data.get("objectives", ())):
            keys: Keys = ("objectives", index)
            if not isinstance(given, dict) or not {"tier", "ratio"} <= given.keys():
                continue  # refused already
            ratio = self.parsed((*keys, "ratio"), Share.parse, given["ratio"])
            operations = tuple(given.get("operations", offered))
            for name in operations:
                if name not in offered and release:
                    self.warn(keys, f"Milvus {release.name} has no {name}", "the objective has no effect there")
            period = self.duration((*keys, "period"), _PERIOD, smallest=_SHORTEST_PERIOD, limit=_LONGEST_PERIOD)
            if ratio is None or ("operations" not in given and (*keys, "operations") in self.document.values):
                continue  # refused already
            objective = Objective(given["tier"], ratio, period, tuple(each for each in operations if each in offered))
            for other in found:
                both = [each for each in objective.operations if each in other.operations]
                if objective.tier == other.tier and (both or ratio == other.ratio):
                    wrong = f"another objective for {objective.tier} {f'of {both[0]}' if both else f'with {ratio}'}"
                    self.refuse(keys, wrong, "write one objective for each tier and operation")
            found.append(objective)
        return tuple(found)

    def check_order(self, found: Mapping[str, Duration | None], places: Mapping[str, Keys]) -> None:
        for tier in TIERS:
            value = found[tier]
            if value is not None and not value:
                self.refuse(places[tier], f"{value} would be exceeded by every request", "write a duration above 0")
        for low, high in pairwise(TIERS):
            below, above = found[low], found[high]
            if below is None or above is None or below < above or (below == above and high == "slow_query_span"):
                continue
            relation = "the same as" if below == above else "above"
            # The position is that of the setting that was given, where only one of the two was.
            given = [tier for tier in (high, low) if places[tier] in self.document.values]
            if given and given[0] == high:
                side = "the same as" if below == above else "below"
                self.refuse(
                    places[high],
                    f"{above} is {side} {low} ({below})",
                    f"write a duration above {below}, or lower {low}",
                )
            else:
                self.refuse(
                    places[low],
                    f"{below} is {relation} {high} ({above})",
                    f"write {'at most' if high == 'slow_query_span' else 'a duration below'} {above}, or raise {high}",
                )

    def hasty(self, alerts: Mapping[str, AlertSettings], window: Duration) -> None:
        """Warns where a longer window leaves too little of a `for` that the profile does not give.

        What happens in one moment is in the window until it has passed: an alert on a share of the requests, or on
        their latency, is only sure to be about more than that moment when `for` is as long.
        """
        late = [
            name
            for name, alert in alerts.items()
            if alert.enabled
            and alert.for_ < window
            and alert.min_request_rate is not None
            and alert.threshold != alert.quantile  # it has one of them
            and ("alerts", name, "for") not in self.document.values
        ]
        if late and ("window",) in self.document.values:
            self.warn(
                ("window",),
                f"{window} is longer than the `for` of {', '.join(late)}: what happens in one moment can fire them",
                f"give each a `for` of {window} or more, or whatever you want",
            )

    def alert(
        self,
        name: str,
        given: Mapping[str, Any],
        of_all: tuple[Texts, Texts],
        identity: tuple[str, ...],
        evaluation: Duration,
        window: Duration,
    ) -> AlertSettings:
        defaults = self.defaults.alerts[name]
        at: Keys = ("alerts", name)

        def setting(key: str) -> Any:
            return given.get(key, defaults.get(key))

        for_ = self.duration((*at, "for"), str(defaults.get("for", "0s")), smallest=_NO_TIME)
        keep = self.duration((*at, "keep_firing_for"), str(defaults.get("keep_firing_for", "0s")), smallest=_NO_TIME)
        effective = []
        for key, duration in (("for", for_), ("keep_firing_for", keep)):
            late = duration.milliseconds % (evaluation.milliseconds or 1)
            if late and (*at, key) in self.document.values:
                effective.append(Duration(duration.milliseconds - late + evaluation.milliseconds))
                self.warn(
                    (*at, key),
                    f"{duration} is no multiple of evaluation_interval ({evaluation})",
                    f"takes effect as {effective[-1]}",
                )
            else:
                effective.append(duration)
        for_, keep = effective
        quantile = Decimal(repr(setting("quantile"))) if "quantile" in defaults else None
        rate: Rate | None = None
        if "min_request_rate" in defaults:
            if setting("min_request_rate") == "derived":
                assert quantile is not None
                rate = enough_requests(quantile, window)
            else:
                rate = self.parsed((*at, "min_request_rate"), Rate.parse, str(setting("min_request_rate")))
                if rate and not rate.count:
                    self.warn(
                        (*at, "min_request_rate"),
                        f"{rate}: a single slow request can fire this alert",
                        "write a rate above 0",
                    )
        threshold: Threshold | None = None
        if "threshold" in defaults:
            read, right = _reader(defaults["threshold"])
            threshold = self.parsed((*at, "threshold"), read, setting("threshold"), right)
            if isinstance(threshold, Rate) and not threshold.count:
                self.refuse((*at, "threshold"), f"{threshold} would always be exceeded", "write a rate above 0")
        min_time = self.duration((*at, "min_time"), str(defaults["min_time"])) if "min_time" in defaults else None
        return AlertSettings(
            enabled=given.get("enabled", True),
            severity=str(setting("severity") or ""),
            for_=for_,
            keep_firing_for=keep,
            quantile=quantile,
            min_request_rate=rate,
            least=setting("least"),
            min_time=min_time,
            threshold=threshold,
            labels=_beside(of_all[0], self.texts((*at, "labels"), labels=True, identity=identity)),
            annotations=_beside(of_all[1], self.texts((*at, "annotations"), labels=False)),
        )

    def target(self, *, is_base: bool) -> Target:
        given = self.options("target", "platform", platforms.PLATFORMS, is_base=is_base)
        platform = platforms.PLATFORMS[given["platform"]]
        server = tuple(map(int, given.get("server", "2.42").split(".")))
        for option, oldest in platforms.OLDEST_SERVER.items():
            if server[:2] < oldest and (option == "keep_firing_for" or option in given):
                keys: Keys = ("target", "server") if option == "keep_firing_for" else ("target", option)
                needed = ".".join(map(str, oldest))
                wrong = f"{'the rules need' if option == 'keep_firing_for' else 'needs'} Prometheus {needed} or newer"
                self.refuse(keys, wrong, f'write `server: "{needed}"` if all servers are that new')
        return Target(
            platform=platform,
            labels=tuple(sorted(given.get("labels", {}).items())),
            namespace=given.get("namespace", ""),
            server=server,
            query_offset=self.duration(("target", "query_offset")) if "query_offset" in given else None,
            partial_response=given.get("partial_response", platform.partial_response),
            source_tenants=tuple(given.get("source_tenants", ())),
            most_rules=given.get("max_rules_per_group", platform.most_rules),
            most_groups=given.get("max_groups", platform.most_groups),
        )

    def dashboards(self, *, is_base: bool) -> Dashboards:
        given = self.options("dashboards", "format", platforms.DASHBOARD_FORMATS, is_base=is_base)
        form = platforms.DASHBOARD_FORMATS[given["format"]]
        if "folder" in given:
            self.check_text(("dashboards", "folder"), given["folder"])
        labels = {**dict(form.labels), **given.get("labels", {})} if form.kind else {}
        return Dashboards(form, tuple(sorted(labels.items())), given.get("namespace", ""), given.get("folder", ""))

    def options(
        self,
        setting: str,
        name: str,
        known: Mapping[str, platforms.Platform] | Mapping[str, platforms.DashboardFormat],
        *,
        is_base: bool,
    ) -> dict[str, Any]:
        """A setting that is a name, or a map of a name and what goes with it, as a map; checked against the table."""
        given = self.data[setting]
        given = {name: given} if isinstance(given, str) else given
        row = known.get(given.get(name, ""))
        if row is None:
            if (setting, name) not in self.document.values and not is_base:
                self.refuse((setting, name), "missing", f"write one of {', '.join(known)}")
            return {name: self.defaults.settings[setting]}
        for option in given:
            if option != name and option not in row.options:
                right = f"it has {', '.join(row.options)}" if row.options else "remove it"
                self.refuse((setting, option), f"{row.name} has no such setting", right, of_key=True)
        for option in row.required:
            if option not in given and not is_base:
                wrong = f"{row.name} needs `{option}`"
                self.refuse((setting,), wrong, _REQUIRED[row.name])
        return {key: value for key, value in given.items() if key == name or key in row.options}

    def texts(self, keys: Keys, *, labels: bool, identity: tuple[str, ...] = ()) -> Texts:
        """Extra labels or annotations, checked: they must not take the place of the compiler's own."""
        given: Any = self.data
        for key in keys:
            given = given.get(key, {})
        reserved = conventions.RESERVED_LABELS | set(identity) if labels else conventions.RESERVED_ANNOTATIONS
        for name, value in given.items():
            if name in reserved or (labels and name.startswith("__")):
                self.refuse(
                    (*keys, name), "is set by Thresher or carried by the series", "choose another name", of_key=True
                )
            self.check_text((*keys, name), value, prose=not labels)
        self.check_length(keys, (text for pair in given.items() for text in pair))
        return tuple(sorted(given.items()))

    def check_length(self, keys: Keys, texts: Iterable[str]) -> None:
        """Refuses texts that would make every rule they are written into a long one."""
        if (length := sum(map(len, texts))) > MAX_REPEATED:
            right = f"at most {MAX_REPEATED}: they are repeated in many rules"
            self.refuse(keys, f"{length} characters in all", right, of_key=True)

    def check_text(self, keys: Keys, value: str, *, prose: bool = False) -> None:
        """Refuses text that looks like other text, or that Prometheus would expand.

        Nobody compares `prose`: it may be of several scripts, and choose how an emoji is drawn.
        """
        blank = _BLANK - {_AS_EMOJI} if prose else _BLANK
        unseen = ("Cf", "Co", "Cs", "Cc", "Cn", "Zl", "Zp")
        hidden = [char for char in value if unicodedata.category(char) in unseen or char in blank]
        spaces = [char for char in value if unicodedata.category(char) == "Zs" and char != " "]
        if "\n" in value or "\t" in value:
            self.refuse(
                keys, "holds a line break or a tab", "write it on one line (in a block with `>-`, not `|` or `>`)"
            )
        elif hidden or spaces:
            self.refuse(keys, f"character U+{ord((hidden + spaces)[0]):04X} cannot be told apart by eye", "remove it")
        elif unicodedata.normalize("NFC", value) != value:
            self.refuse(
                keys, f"{quoted(value)} is not in Unicode's composed form (NFC)", "type it anew, or normalise it"
            )
        elif not prose and "{{" in value:
            self.refuse(keys, f"{quoted(value)} holds `{{{{`, which Prometheus would expand", "remove the braces")
        elif not prose and len(scripts := _scripts(value)) > 1:
            self.warn(
                keys,
                f"{quoted(value)} mixes {' and '.join(sorted(scripts))} letters",
                "check that each letter is what it seems",
            )

    def duration(
        self, keys: Keys, default: str = "1m", *, smallest: Duration = _MILLISECOND, limit: Duration = MAX_DURATION
    ) -> Duration:
        """The duration at `keys`, in whole milliseconds and within limits; `default` after a finding."""
        given: Any = self.data
        for key in keys:
            given = given[key] if isinstance(key, int) else given.get(key, {}) if isinstance(given, dict) else {}
        found = self.parsed(keys, Duration.parse, given or default)
        if found is None:
            return Duration.parse(default)
        if found > limit:
            self.refuse(keys, f"{found} is longer than {limit}", f"write at most {limit}")
        elif found < smallest <= _MILLISECOND:
            self.refuse(keys, f"{found} is no time at all", "write a duration above 0")
        elif found < smallest:
            self.refuse(keys, f"{found} is shorter than {smallest}", f"write at least {smallest}")
        elif found.milliseconds % 1:
            self.refuse(keys, f"{found} is no whole number of milliseconds", "write whole milliseconds")
        else:
            return found
        return Duration.parse(default)

    def parsed(self, keys: Keys, parse: Callable[[str], T], text: Any, right: str = "write another value") -> T | None:
        """What the text means; None after a finding, for what the schema's pattern lets through."""
        try:
            return parse(text)
        except ValueError as error:
            self.refuse(keys, str(error), right)
            return None


def _beside(of_all: Texts, own: Texts) -> Texts:
    """What an alert has of its own: not what all alerts have, so that saying it twice changes nothing."""
    return tuple(pair for pair in own if pair not in of_all)


@lru_cache(maxsize=64)
def _default_settings(defaults: Defaults, window: Duration) -> Mapping[str, AlertSettings]:
    """The settings of every alert where the profile says nothing of it. Treat it as read-only."""
    return {alert: _default(given, window) for alert, given in defaults.alerts.items()}


def _default(given: Mapping[str, object], window: Duration) -> AlertSettings:
    """The settings of one alert as its template has them."""
    quantile = Decimal(repr(given["quantile"])) if "quantile" in given else None
    rate: Rate | None = None
    if given.get("min_request_rate") == "derived":
        assert quantile is not None
        rate = enough_requests(quantile, window)
    elif "min_request_rate" in given:
        rate = Rate.parse(str(given["min_request_rate"]))
    return AlertSettings(
        enabled=True,
        severity=str(given.get("severity", "")),
        for_=Duration.parse(str(given.get("for", "0s"))),
        keep_firing_for=Duration.parse(str(given["keep_firing_for"])),
        quantile=quantile,
        min_request_rate=rate,
        least=int(str(given["least"])) if "least" in given else None,
        min_time=Duration.parse(str(given["min_time"])) if "min_time" in given else None,
        threshold=_reader(given["threshold"])[0](given["threshold"]) if "threshold" in given else None,
        labels=(),
        annotations=(),
    )


def offered_operations(release: catalog.Release) -> tuple[str, ...]:
    """The kinds of requests that the proxy of a release measures, of those that users send."""
    metric = release.metric("milvus_proxy_sq_latency")
    return tuple(name for name in OPERATIONS if metric and name in metric.values["query_type"])


def enough_requests(quantile: Decimal, window: Duration) -> Rate:
    """The rate from which on a single slow request is no more than what the quantile allows.

    With N requests in the window one of them is a share of 1/N, so N must be at least 1/(1 - quantile).
    sre.google/workbook/alerting-on-slos, "Low-Traffic Services and Error Budget Alerting".
    """
    per_minute = 1 / (1 - quantile) / (window.seconds / 60)
    return Rate(Decimal(math.ceil(per_minute)) if per_minute > 1 else round(per_minute, 6), "m")


# What to write where the labels are missing by which an operator finds a resource.
_REQUIRED = {
    "prometheus-operator": (
        "write those that `spec.ruleSelector` of the Prometheus asks for (without a selector it loads none), such as "
        "{platform: prometheus-operator, labels: {release: kube-prometheus-stack}}"
    ),
    "grafana-operator": (
        "write those that the Grafana resource carries, such as "
        "{format: grafana-operator, labels: {dashboards: grafana}}"
    ),
}


_WORD_OF_PROMQL = "a word of PromQL, which not every supported Prometheus reads as a label"


def aimed(document: Document, platform: str) -> tuple[Document, list[Finding]]:
    """The document with this platform as its target, and a note for each setting that the platform has no use for."""
    given = document.data.get("target")
    kept: dict[str, Any] = {"platform": platform}
    findings = []
    for option, value in given.items() if isinstance(given, dict) else ():
        if option in platforms.PLATFORMS[platform].options:
            kept[option] = value
        elif option != "platform":
            note = document.finding(("target", option), f"not used: {platform} has no such setting", of_key=True)
            findings.append(replace(note, severity="note"))
    return replace(document, data={**document.data, "target": kept}), findings


def digest(data: Mapping[str, Any]) -> str:
    """SHA-256 of the settings as written, whatever their order and layout."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _reader(default: object) -> tuple[Callable[[Any], Threshold], str]:
    """How a threshold like this default is read, and how one is written."""
    readers: dict[str, tuple[Callable[[Any], Threshold], str]] = {
        "rate": (Rate.parse, "write a rate above 0, such as 1/m"),
        "share": (Share.parse, "write a share above 0%, such as 5%"),
        "factor": (Factor.parse, "write a factor above 1, such as 3x"),
        "duration": (_some_time, "write a duration above 0, such as 15m"),
        "count": (int, "write a whole number above 0"),
    }
    return readers[threshold_kind(default)]


def _some_time(text: str) -> Duration:
    """A duration of whole milliseconds that is not too long for tests to play it. Raises ValueError."""
    found = Duration.parse(text)
    if not _MILLISECOND <= found <= _MAX_WHILE or found.milliseconds % 1:
        raise ValueError(f"{found} is not from {_MILLISECOND} to {_MAX_WHILE}, in whole milliseconds")
    return found


def _scripts(text: str) -> set[str]:
    """The scripts of the letters: the first word of each one's Unicode name."""
    return set() if text.isascii() else {name.split()[0] for name in _letter_names(text)}


def _letter_names(text: str) -> Iterator[str]:
    return (unicodedata.name(char, "UNKNOWN") for char in text if char.isalpha())
