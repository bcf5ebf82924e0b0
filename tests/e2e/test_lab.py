"""The short form of `make lab`: the right cause of a real fault is named, no wrong one, and health is silent."""

from __future__ import annotations

import pytest

from tests.e2e.lab.lab import Experiment, Outcome, outcomes
from tests.e2e.lab.table import rows

pytestmark = pytest.mark.e2e

# One fault of each kind that can be told apart only by ratios, on one collection; `make lab` induces all.
SHORT = ("filter-of-25-terms", "strong", "large-batches")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    return list(outcomes(Experiment.read(only=SHORT), tmp_path_factory.mktemp("lab")))


def test_faults_are_named_and_health_is_silent(lab: list[Outcome]) -> None:
    assert [outcome.fault.name for outcome in lab] == [name for fault in SHORT for name in ("healthy", fault)]
    assert [problem for outcome in lab for problem in outcome.problems] == [], "\n".join(
        line for outcome in lab for line in rows(outcome)
    )
