"""An expression out of somebody's file, with what is known of where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from generator.lint.nodes import Passage

# What an expression is for. A `query` is shown by a panel, or feeds a variable.
Kind = Literal["alert", "record", "query"]


@dataclass(frozen=True, eq=False)
class Expression:
    """One expression, and what is known of where it stands.

    `where` names the rule or the panel for people. `record` and `labels` are what a recording rule writes. `templates`
    are the texts of an alert in which `$labels` stands for labels of the result; `prose` is what its author says of it.
    `unit` is Grafana's id of the unit in which a panel shows the result. `of_label` is a label whose values a variable
    lists. A `metricsql` expression may hold what only VictoriaMetrics understands. `silenced` are codes that are not to
    be reported, `rule` is the first and the last line of the rule in the file.
    """

    passage: Passage
    where: str
    kind: Kind
    record: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    templates: tuple[Passage, ...] = ()
    prose: str = ""
    unit: str = ""
    of_label: Passage | None = None
    metricsql: bool = False
    silenced: frozenset[str] = frozenset()
    rule: tuple[int, int] = (0, 0)
