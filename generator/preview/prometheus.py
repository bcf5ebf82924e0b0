"""Asking a Prometheus, or whatever has its HTTP API (Thanos, Mimir, VictoriaMetrics).

By the standard library: a few requests for JSON, one after the other, are no reason for a dependency.
"""

from __future__ import annotations

import base64
import http.client
import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from generator.findings import EnvironmentProblem
from generator.preview.answers import Answer, Dashboard, Question, Series, Span, filled, fixed, to_choose

T = TypeVar("T")

_TIMEOUT_S = 60
# So many queries are under way at once: no more than a person who opens a dashboard asks for.
_AT_ONCE = 4


class _Refused(Exception):
    """The server answers that it cannot answer a query, and why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server by its address, up to and without `/api/v1`, and what a request to it has to carry."""

    url: str
    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def at(cls, address: str) -> Server:
        """The server at an address, which may hold a user and a password. Raises ValueError when it is none."""
        parts = urllib.parse.urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError(f"`{address}` is no address of a server")
        user, at, host = parts.netloc.rpartition("@")
        url = urllib.parse.urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
        token = base64.b64encode(urllib.parse.unquote(user).encode()).decode()
        return cls(url, {"Authorization": f"Basic {token}"} if at else {})

    def check(self) -> None:
        """Raises EnvironmentProblem when there is no such server, or when it does not know the API."""
        try:
            self._ask("query", bool, query="vector(1)")
        except _Refused as refused:
            raise EnvironmentProblem(f"{self.url} does not answer queries: {refused}") from refused

    def choose(self, dashboard: Dashboard, given: Mapping[str, str], span: Span) -> dict[str, str]:
        """A value for each variable of a dashboard: what is `given`, or the first that there is, if any.

        Raises EnvironmentProblem when the server does not tell.
        """
        chosen = {**fixed(dashboard), **given}
        for name, selector, label in to_choose(dashboard, chosen):
            matching = {"match[]": filled(selector, chosen), "start": span.start, "end": span.end}
            try:
                path = f"label/{urllib.parse.quote(label)}/values"
                chosen[name] = self._ask(path, _first, post=False, **matching)
            except _Refused as refused:
                raise EnvironmentProblem(f"{self.url} does not tell the values of {label}: {refused}") from refused
        return chosen

    def answers(self, questions: Iterable[Question], span: Span) -> Iterator[tuple[Question, Answer]]:
        """The answer to each question, in order. Raises EnvironmentProblem when the server is lost on the way."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            asked = list(questions)
            yield from zip(asked, pool.map(lambda each: self._answer(each, span), asked), strict=True)

    def _answer(self, question: Question, span: Span) -> Answer:
        try:
            if question.instant:
                return self._ask("query", _answer, query=question.expr, time=span.end)
            return self._ask(
                "query_range", _answer, query=question.expr, start=span.start, end=span.end, step=span.step
            )
        except _Refused as refused:
            return Answer((), str(refused))

    def _ask(self, path: str, read: Callable[[Any], T], *, post: bool = True, **parameters: object) -> T:
        """What `read` finds in what the API has to say.

        Raises _Refused, or EnvironmentProblem when it is not to be had, or cannot be read.
        """
        address, form = f"{self.url}/api/v1/{path}", urllib.parse.urlencode(parameters)
        # A query may be longer than an address can be.
        address, data = (address, form.encode()) if post else (f"{address}?{form}", None)
        request = urllib.request.Request(address, data, dict(self.headers))  # noqa: S310 (`at` saw that it is HTTP)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                return read(json.load(answer)["data"])
        except urllib.error.HTTPError as error:
            raise _Refused(_said(error)) from error
        except TimeoutError as error:
            raise _Refused(f"no answer within {_TIMEOUT_S} s") from error
        except urllib.error.URLError as error:
            raise EnvironmentProblem(f"{self.url} cannot be reached: {_short(error.reason)}") from error
        except (OSError, http.client.HTTPException) as error:
            raise EnvironmentProblem(f"{self.url} cannot be reached: {_short(error)}") from error
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise EnvironmentProblem(f"{self.url} is no Prometheus: its answer is none of the HTTP API") from error


def _said(error: urllib.error.HTTPError) -> str:
    """What a server says is wrong, or else the status of its answer."""
    try:
        return str(json.load(error)["error"])
    except (ValueError, LookupError, TypeError, OSError, http.client.HTTPException):
        return f"HTTP status {error.code} ({error.reason})"


def _short(reason: object) -> str:
    return reason.strerror or str(reason) if isinstance(reason, OSError) else str(reason)


def _first(values: Any) -> str:
    """The first value of a label; empty where there is none."""
    return str(values[0]) if values else ""


def _answer(found: Any) -> Answer:
    """The series of an answer, but for those of native histograms."""
    return Answer(tuple(_series(each) for each in found["result"] if "value" in each or "values" in each))


def _series(found: Mapping[str, Any]) -> Series:
    points = found["values"] if "values" in found else [found["value"]]
    return Series(found["metric"], tuple((float(at), _number(value)) for at, value in points))


def _number(text: str) -> float:
    """A value as Prometheus writes it: also `NaN` and `+Inf`."""
    return math.nan if text == "NaN" else float(text)
