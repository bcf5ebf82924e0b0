"""How long a build takes: of one profile, of a thousand, of ten thousand, and of a fleet."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import profiles
from bench.child import Run, run, thresher
from bench.report import Row, say
from generator.conventions import MANIFEST

_FEW, _MANY = 1_000, 10_000
_REPEATS = 3
# What 3 s for a thousand profiles of 40 rules come to, in microseconds.
_PER_RULE = 75
# Beyond these, growth is no longer called linear, nor memory flat.
_LINEAR, _FLAT = 1.2, 1.2


def measure() -> Iterator[Row]:
    """Everything about builds of profiles, each of its own behaviour."""
    with tempfile.TemporaryDirectory() as directory:
        yield from _one(Path(directory))
        yield from _thousands(Path(directory), profiles.ROUND, "rules alone", many=True, outputs=["rules"])
        yield from _thousands(Path(directory), profiles.ROUND, "everything", many=True)
        yield from _thousands(Path(directory), profiles.HARSH, "everything", many=False)


def measure_fleet() -> Iterator[Row]:
    """A fleet file whose deployments share few rule sets."""
    say(f"a fleet of {profiles.DEPLOYMENTS:,} deployments: {_REPEATS} builds")
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "fleet.yaml")
        profiles.write_fleet(file)
        builds = [_build(file, Path(directory, "out")) for _ in range(_REPEATS)]
    wall = median(built.run.wall for built in builds)
    sets = builds[0].rule_sets
    yield Row(f"fleet file of {profiles.DEPLOYMENTS:,} deployments, one build", f"{wall:.2f} s", "< 1 s", wall < 1)
    yield Row(
        f"  rule sets for {profiles.BEHAVIOURS} behaviours",
        f"{sets} of {builds[0].rules}",
        str(profiles.BEHAVIOURS),
        sets == profiles.BEHAVIOURS,
    )


def _one(directory: Path) -> Iterator[Row]:
    repeats = 11
    say(f"one profile: {repeats} builds, each in a process of its own and into an empty directory")
    folder = directory / "one"
    profiles.write(folder, 1, profiles.ROUND)
    walls = [_build(folder, directory / "out").run.wall for _ in range(repeats)]
    bare = [run(sys.executable, "-c", "pass").wall for _ in range(repeats)]
    yield Row(
        "build of one profile, from start to end (median)", f"{median(walls):.2f} s", "< 0.4 s", median(walls) < 0.4
    )
    yield Row(f"  the fastest of {repeats}", f"{min(walls):.2f} s")
    yield Row("  the interpreter alone, doing nothing (median)", f"{median(bare):.2f} s")


def _thousands(directory: Path, kind: profiles.Kind, what: str, *, many: bool, **settings: object) -> Iterator[Row]:
    """Many profiles that have these settings in common: `what` they ask for."""
    name = f"profiles, {kind.name}, {what}"
    say(f"{_FEW:,} {name}: {_REPEATS} builds{f', and one of {_MANY:,}' if many else ''}")
    folder = directory / "few"
    profiles.write(folder, _FEW, kind, **settings)
    builds = [_build(folder, directory / "out") for _ in range(_REPEATS)]
    wall, cpu = (median(getattr(built.run, clock) for built in builds) for clock in ("wall", "cpu"))
    few = builds[0]
    assert few.rule_sets == _FEW, few
    yield Row(f"{_FEW:,} {name} (median)", f"{wall:.2f} s", "< 3 s", wall < 3)
    kernel = median(built.run.system for built in builds)
    yield Row("  processor time; of it in the kernel, for files", f"{cpu:.2f} s; {kernel:.2f} s")
    yield Row("  what is written", f"{few.rules} each, {few.megabytes:.0f} MB in {few.files:,} files")
    per_rule = cpu / few.all_rules * 1e6
    yield Row("  processor time per rule", f"{per_rule:.0f} us", f"< {_PER_RULE} us", per_rule < _PER_RULE)
    yield Row("  copying it with cp -r, for comparison", f"{_copying(folder, directory / 'out'):.2f} s")
    shutil.rmtree(folder)
    peak = max(built.run.peak for built in builds)
    yield Row("  memory at its peak", f"{peak:.0f} MB")
    if not many:
        return
    profiles.write(folder, _MANY, kind, **settings)
    built = _build(folder, directory / "out")
    shutil.rmtree(folder)
    assert built.rule_sets == _MANY, built
    yield Row(f"{_MANY:,} {name}", f"{built.run.wall:.1f} s")
    each, of_few = built.run.cpu / _MANY, cpu / _FEW
    growth = f"{each * 1e3:.2f} against {of_few * 1e3:.2f} ms, {each / of_few:.2f} x"
    yield Row(f"  processor time per profile, against {_FEW:,}", growth, f"<= {_LINEAR} x", each / of_few <= _LINEAR)
    growth = f"{built.run.peak:.0f} against {peak:.0f} MB, {built.run.peak / peak:.2f} x"
    yield Row(f"  memory at its peak, against {_FEW:,}", growth, f"<= {_FLAT} x", built.run.peak / peak <= _FLAT)


@dataclass(frozen=True, slots=True)
class _Built:
    """One build: what it took and what came of it. `rules` is how many a rule set has."""

    run: Run
    rule_sets: int
    rules: str
    files: int
    megabytes: float
    all_rules: int


def _copying(source: Path, out: Path) -> float:
    """Seconds that it takes to copy what is built."""
    thresher("build", source, "--out", out, "--quiet")
    seconds = run("cp", "-r", out, f"{out}-copy").wall
    shutil.rmtree(out)
    shutil.rmtree(f"{out}-copy")
    return seconds


def _build(source: Path, out: Path) -> _Built:
    """Builds into a directory that is removed afterwards."""
    done = thresher("build", source, "--out", out, "--quiet")
    sizes = [file.stat().st_size for file in out.rglob("*") if file.is_file()]
    found = [json.loads(file.read_bytes()) for file in out.glob(f"*/{MANIFEST}")]
    manifests = [manifest for manifest in found if "rules" in manifest]  # that of a fleet as a whole has none
    rules = sorted(manifest["rules"] + manifest["alerts"] for manifest in manifests)
    shutil.rmtree(out)
    many = f"{rules[0]} to {rules[-1]} rules"
    return _Built(done, len(manifests), many, len(sizes), sum(sizes) / 1e6, sum(rules))
