"""Running vmalert-tool, the unit tester of VictoriaMetrics, on tests that were written for promtool.

The rules are those that are shipped. Of the tests, expressions are asked for under another key, and alerts together
with the group that they are in.
docs.victoriametrics.com/victoriametrics/vmalert-tool
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from generator.findings import EnvironmentProblem

# What a file, or a part of one, holds.
Content = Mapping[str, Any]

INSTALL = """\
vmalert-tool was not found. It proves rules for VictoriaMetrics, and comes with it:
  Debian, Ubuntu   apt-get install victoria-metrics
  Others           the vmutils archive of a VictoriaMetrics release
Put it on PATH, or name it in the environment variable VMALERT_TOOL."""


def find() -> str:
    """The vmalert-tool to use: `VMALERT_TOOL`, or else the one on PATH. Raises EnvironmentProblem if there is none."""
    named = os.environ.get("VMALERT_TOOL")
    found = shutil.which(named or "vmalert-tool")
    if found is None:
        raise EnvironmentProblem(f"VMALERT_TOOL is {named}, which is no program that can be run" if named else INSTALL)
    return found


def refused(tool: str, parts: Iterable[tuple[Content, Sequence[Content]]]) -> list[str]:
    """What vmalert-tool prints when rules do not pass their tests; nothing when they do.

    Each part is the content of a test file, and the groups that it is about.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [tool, "unittest"]
        for number, (tests, groups) in enumerate(parts):
            rules = f"{number}.rules.yaml"
            translated = in_its_form(tests, groups, rules)
            for name, content in ((rules, {"groups": groups}), (f"{number}.tests.yaml", translated)):
                Path(folder, name).write_text(json.dumps(content, ensure_ascii=False), "utf-8")
            command += ["--files", f"{number}.tests.yaml"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    # It logs every step to stderr; what failed is on stdout.
    passed = not done.returncode and "SUCCESS" in done.stdout and "FAILED" not in done.stdout
    said = done.stdout.strip() or done.stderr.strip() or f"vmalert-tool ended with {done.returncode}"
    return [] if passed else [said]


def in_its_form(tests: Content, groups: Iterable[Content], rules: str) -> dict[str, Any]:
    """A test file of promtool as one of vmalert-tool, for these groups in a file named `rules`."""
    homes = {rule["alert"]: group["name"] for group in groups for rule in group["rules"] if "alert" in rule}
    found = [_test(test, homes) for test in tests["tests"]]
    return {**tests, "rule_files": [rules], "tests": found}


def _test(test: Content, homes: Mapping[str, str]) -> dict[str, Any]:
    kept = {key: value for key, value in test.items() if key not in ("promql_expr_test", "alert_rule_test")}
    alerts = [{**check, "groupname": homes[check["alertname"]]} for check in test.get("alert_rule_test") or ()]
    return {**kept, "metricsql_expr_test": test.get("promql_expr_test") or [], "alert_rule_test": alerts}
