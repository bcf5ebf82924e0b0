"""What `thresher lint` can find, by the codes that findings carry. docs/lint.md explains each."""

from __future__ import annotations

import difflib

CODES = {
    "bad-ignore": "A comment silences a code that does not exist",
    "buckets-added-up": "Cumulative buckets are added up",
    "counter-without-rate": "A counter is compared or drawn without a rate",
    "counts-total-twice": "Requests are counted both by their outcome and as `total`",
    "divided-by-itself": "Series are divided by themselves, so that the result is always 1",
    "impossible-value": "A label never has the value that is asked for",
    "le-spelling": "A bucket is selected in one spelling of its bound only",
    "lost-label": "A label is used that an aggregation has removed",
    "mixed-units": "Series of different units are aggregated",
    "never-zero": "A series that cannot be 0 is compared with 0",
    "no-comparison": "An alert has no condition, and fires whenever there is data",
    "quantile-out-of-range": "The quantile is not between 0 and 1",
    "quantile-without-le": "A quantile of something that is no histogram bucket, or has lost `le`",
    "quantile-without-rate": "A quantile of counters that are not rated",
    "rate-of-gauge": "A gauge is treated as a counter",
    "rate-of-sum": "Counters are added up before they are rated",
    "short-window": "The window is too short for the scrape interval",
    "sides-never-match": "The two sides of an operator have no series in common",
    "syntax": "The expression is no PromQL",
    "unfed-metric": "The release registers the metric, but nothing writes it",
    "unit-mismatch": "A quantity is taken for one in another unit",
    "unknown-bucket": "The histogram has no such bucket",
    "unknown-label": "The metric has no such label",
    "unknown-metric": "The release has no such metric",
    "unreachable-threshold": "The value can never get as high as the threshold",
}


def nearest(code: str) -> str:
    """The code that is likely meant; empty when there is none."""
    return next(iter(difflib.get_close_matches(code, CODES, n=1, cutoff=0.5)), "")
