"""How the lab judges what was said of a fault. The faults themselves are induced in e2e/test_lab.py."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.conftest import Thresher
from tests.e2e.lab.lab import PROFILE, Experiment, Fault, Outcome, first_line
from tests.e2e.lab.table import rows
from tests.e2e.servers import Notified

FAULT = Fault("strong", fires=("Slow", "Wait"), may=("Queue",), verdict="waiting")


def notified(name: str, severity: str, *, muted: bool = False, **annotations: str) -> Notified:
    return Notified({"alertname": name, "severity": severity}, {"summary": f"{name}!", **annotations}, muted)


def test_a_fault_that_is_named_right_is_no_problem() -> None:
    assert list(Outcome(FAULT, {"Slow": 7, "Wait": 8, "Queue": 9}, line="90% of it waiting").problems) == []


def test_what_was_not_said_and_what_was_said_wrongly_are_problems() -> None:
    assert list(Outcome(FAULT, {"Slow": 7, "Filter": 8}, line="90% of it filtering").problems) == [
        "Wait did not fire",
        "Filter fired",
        "the first line does not say `waiting`",
    ]


def test_whatever_fires_in_health_is_a_problem() -> None:
    assert list(Outcome(Fault("healthy"), {"Queue": 3}).problems) == ["Queue fired"]


def test_a_person_reads_the_verdict_of_the_worst_alert_that_is_not_muted() -> None:
    alerts = [
        notified("Wait", "info"),
        notified("Investigate", "warning", muted=True, verdict="muted"),
        notified("Slow", "critical", verdict="90% of it waiting"),
    ]
    assert first_line(alerts) == "90% of it waiting"
    assert first_line([notified("Down", "critical"), *alerts]) == "Down!"
    assert first_line([]) == ""


def test_the_table_has_a_line_for_each_alert() -> None:
    outcome = Outcome(FAULT, {"Investigate": 7.2, "Slow": 9.6}, frozenset({"Investigate"}), "90% of it waiting")
    assert [line.split(maxsplit=4) for line in rows(outcome)] == [
        ["strong", "7", "s", "-Investigate", "90% of it waiting"],
        ["10", "s", "Slow"],
    ]
    assert [line.split() for line in rows(Outcome(Fault("healthy"), {}))] == [["healthy", "none"]]


def test_the_profile_of_the_lab_lets_every_alert_fire_soon(thresher: Thresher, tmp_path: Path) -> None:
    assert thresher("build", PROFILE, "--out", tmp_path, "--quiet").exit_code == 0
    groups = yaml.safe_load((tmp_path / "lab/rules/lab.rules.yaml").read_text("utf-8"))["groups"]
    alerts = {
        rule["alert"]: rule["for"] for group in groups for rule in group["rules"] if "alert" in rule and "for" in rule
    }
    assert set(alerts.values()) <= {"5s", "7s", "15s"}


def test_every_fault_searches_collections_that_there_are_and_fires_alerts_that_there_are() -> None:
    experiment = Experiment.read()
    known = yaml.safe_load(PROFILE.read_text("utf-8"))["alerts"]
    assert set(experiment.searched) == set(experiment.collections)
    assert {alert for fault in experiment.faults for alert in (*fault.fires, *fault.may)} <= set(known)


def test_only_some_faults_need_only_their_collections() -> None:
    experiment = Experiment.read(only=["strong"])
    assert [fault.name for fault in experiment.faults] == ["strong"]
    assert set(experiment.searched) == {"healthy", "articles"}
