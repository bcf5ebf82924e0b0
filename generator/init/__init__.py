"""A new GitOps repository: its first profile, what that compiles to, a Makefile, CI workflows, and what else it needs.

The files beside this module are its contents; `<< name >>` and the like in them are filled in. Names begin with `dot-`
instead of a dot, so that nothing takes them for files of this project.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from generator import __version__
from generator.build import build, schema
from generator.findings import EnvironmentProblem, Finding, InputError, has_errors

# Where the files say that the output lies.
OUT = PurePosixPath("monitoring")

Files = Mapping[PurePosixPath, bytes]


def repository(name: str, milvus: str, namespace: str) -> tuple[Files, Files]:
    """The files of a new repository, and those that its profile compiles to. Raises InputError.

    `namespace` is the value of that label on the deployment's series.
    """
    pattern = schema()["properties"]["name"]["pattern"]
    if not re.fullmatch(pattern, name):
        raise InputError([_mistake("--name", f"{name!r} is no name for a profile", f"it must match {pattern}")])
    values = {"name": name, "milvus": _quoted(milvus), "namespace": _quoted(namespace), "version": __version__}
    found = dict(_filled(resources.files(__package__) / "files", PurePosixPath(), values))
    found[PurePosixPath("profile.schema.json")] = (json.dumps(schema(), indent=2) + "\n").encode()
    return found, _compiled(PurePosixPath("profiles", f"{name}.yaml"), found)


def write(folder: Path, files: Files) -> None:
    """Writes files that do not exist yet: all of them, or none. Raises InputError naming what stands in the way."""
    ways = dict.fromkeys(
        folder.joinpath(*path.parts[:1]) if path.parts[0] == OUT.name else folder / path for path in files
    )
    taken = [
        _mistake(str(way), "exists already", "move it, or choose another directory")
        for way in ways
        if os.path.lexists(way)
    ]
    if taken:
        raise InputError(taken)
    made: list[Path] = []
    try:
        for path, content in files.items():
            target = folder / path
            made += [each for each in (*target.parents[::-1], target) if not os.path.lexists(each)]
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "xb") as file:
                file.write(content)
    except OSError as error:
        for each in reversed(made):
            with contextlib.suppress(OSError):
                each.rmdir() if each.is_dir() else each.unlink()
        raise EnvironmentProblem(f"{error.filename}: {error.strerror}; nothing was written") from error


def _filled(folder: Any, inside: PurePosixPath, values: Mapping[str, str]) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The files below a folder of the package, filled in."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        path = inside / entry.name.replace("dot-", ".", 1).replace("NAME", values["name"])
        if entry.is_dir():
            yield from _filled(entry, path, values)
        else:
            text = entry.read_text("utf-8")
            yield path, re.sub(r"<< (\w+) >>", lambda found: values[found[1]], text).encode()


def _compiled(profile: PurePosixPath, files: Files) -> dict[PurePosixPath, bytes]:
    """What the profile compiles to. Raises InputError when it is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), {profile: files[profile]})
        results = list(build([Path(folder, profile)]))
    findings = [replace(each, file=str(profile)) for each in results if isinstance(each, Finding)]
    if has_errors(findings):
        raise InputError(findings)
    return {
        OUT / path: content for each in results if not isinstance(each, Finding) for path, content in each.files.items()
    }


def _quoted(text: str) -> str:
    """The text for a double-quoted scalar of YAML, without the quotes."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _mistake(where: str, wrong: str, right: str) -> Finding:
    return Finding("error", where, 0, 0, "", wrong, right)


def newest(names: Iterable[str]) -> str:
    """The last of the releases, given in their order, that is no preview."""
    return [name for name in names if "-" not in name][-1]
