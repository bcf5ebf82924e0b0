"""An output directory, and what the profiles compile to -> where the two differ, and whose doing that is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from generator import conventions
from generator.findings import EnvironmentProblem, Finding
from generator.output import MARKS, sha256, written

STALE, MISSING, EDITED, FOREIGN, LEFT_OVER = "stale", "missing", "edited", "foreign", "left-over"

# What each code means.
KINDS = {
    STALE: "a file is not what its profile compiles to",
    MISSING: "a file that a profile yields is not there",
    EDITED: "a generated file was edited by hand",
    FOREIGN: "a file among generated ones that Thresher did not write",
    LEFT_OVER: "a generated file that no profile yields any more",
}


@dataclass
class Drift:
    """Compares an output directory with profiles as they are compiled, one after the other."""

    out: Path
    compiled: set[str] = field(default_factory=set)
    _known: set[PurePosixPath] = field(default_factory=set)

    def of(self, profile: str, files: Mapping[PurePosixPath, bytes]) -> Iterator[Finding]:
        """What is wrong with the files of one profile. Raises EnvironmentProblem when one cannot be read."""
        before = written(self.out, profile)
        self.compiled.add(profile)
        self._known |= files.keys() | before.keys()
        for path, content in files.items():
            if (self.out / path).is_dir():
                yield self._finding(FOREIGN, path, 0, "is a directory, and in the way of a file", "move it")
                continue
            old = self._read(path)
            if old is None:
                yield self._finding(MISSING, path, 0, "is missing", "run `thresher build`")
            elif old != content:
                yield self._differs(path, old, content, before)
        for path in sorted(before.keys() - files.keys()):
            if not (self.out / path).is_dir() and self._read(path) is not None:
                wrong = f"the profile {profile} does not yield this file any more"
                yield self._finding(LEFT_OVER, path, 0, wrong, "run `thresher build`, which removes it")

    def rest(self) -> Iterator[Finding]:
        """What else is in the directory: of profiles that were not compiled, and of others, but for hidden files."""
        for directory, folders, names in os.walk(self.out, onerror=_refuse):
            inside = PurePosixPath(Path(directory).relative_to(self.out).as_posix())
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            if len(inside.parts) == 1 and inside.name not in self.compiled and written(self.out, inside.name):
                folders.clear()
                wrong = f"the output of {inside.name}, which no given profile yields"
                right = "give its profile, too, or remove it with `thresher build --prune`"
                yield self._finding(LEFT_OVER, inside / conventions.MANIFEST, 0, wrong, right)
                continue
            for name in sorted(names):
                if inside / name not in self._known and not name.startswith("."):
                    wrong = "Thresher did not write this file, and nothing proves it"
                    yield self._finding(FOREIGN, inside / name, 0, wrong, f"keep it outside {self.out}")

    def _differs(self, path: PurePosixPath, old: bytes, new: bytes, before: Mapping[PurePosixPath, str]) -> Finding:
        line = _first_difference(old, new)
        if path in before and sha256(old) != before[path]:
            right = "change the profile instead, and run `thresher build`"
            return self._finding(EDITED, path, line, "was edited by hand", right)
        if path not in before and not old.startswith(MARKS):
            return self._finding(FOREIGN, path, 0, "is in the way, and Thresher did not write it", "move it")
        return self._finding(STALE, path, line, "is not what its profile compiles to", "run `thresher build`")

    def _finding(self, code: str, path: PurePosixPath, line: int, wrong: str, right: str) -> Finding:
        return Finding("error", str(self.out / path), line, 1 if line else 0, "", wrong, right, code)

    def _read(self, path: PurePosixPath) -> bytes | None:
        try:
            return (self.out / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise EnvironmentProblem(f"{self.out / path}: {error.strerror}") from error


def _first_difference(old: bytes, new: bytes) -> int:
    """The line, counted from 1, on which two texts begin to differ."""
    before, after = old.split(b"\n"), new.split(b"\n")
    same = next((at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), None)
    return 1 + (min(len(before), len(after)) - 1 if same is None else same)


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise EnvironmentProblem(f"{error.filename}: {error.strerror}") from error
