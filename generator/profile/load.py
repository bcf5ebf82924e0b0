"""Files -> profiles: reads, checks against the schema, follows `extends`, unfolds fleets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from generator import source
from generator.findings import Finding, InputError, has_errors
from generator.profile.model import Profile
from generator.profile.resolve import SHARED_DISK, Defaults, aimed, digest, merged, resolve
from generator.profile.schema import Schema, Validator
from generator.source import Document, Keys

MAX_EXTENDS = 10
MAX_FLEET_NAME = 40
MAX_DEPLOYMENTS = 10_000
MAX_FLEET_COLLECTIONS = 50_000

_NOT_INHERITED = ("base", "extends", "deployments")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one file holds: one profile, the deployments of a fleet, or nothing (a base, or an unreadable file).

    When the findings hold an error, the profiles only serve to look for more of them.
    """

    file: str
    profiles: tuple[Profile, ...]
    findings: tuple[Finding, ...]
    fleet: str | None = None

    @property
    def usable(self) -> bool:
        return not has_errors(self.findings)


@dataclass
class Loader:
    """Loads profile files one after the other; remembers bases, and names that are taken.

    `platform` is the target of all profiles, whatever they say themselves; empty where it is theirs to say.
    """

    schema: Schema
    alerts: Mapping[str, Mapping[str, object]]
    platform: str = ""
    _bases: dict[Path, tuple[Document | None, int]] = field(default_factory=dict)
    _names: dict[str, source.Position] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.validator = Validator(self.schema)
        self.defaults = Defaults.of(self.schema, self.alerts)

    def load(self, path: Path) -> Loaded:
        """Everything that one file holds, and everything there is to say about it."""
        file = str(path)
        document, findings = self._read(path, file)
        if document is None:
            return Loaded(file, (), tuple(findings))
        is_base = document.data.get("base") is True
        inherited, more, _ = self._inherited(document, path, ())
        findings += more
        if inherited is None:
            return Loaded(file, (), tuple(findings))
        if self.platform:
            inherited, more = aimed(inherited, self.platform)
            findings += more
        if "deployments" in inherited.data and is_base:
            findings.append(inherited.finding(("deployments",), "not in a base", "remove `base`, or the deployments"))
            return Loaded(file, (), tuple(findings))
        if "deployments" in inherited.data:
            profiles, found = self._fleet(inherited)
            fleet = inherited.data.get("name")
        else:
            profile, found = resolve(inherited, self.defaults, is_base=is_base)
            profiles, fleet = ([profile] if profile else []), None
        findings += found
        if not is_base and "name" in inherited.data:
            findings += self._taken(inherited)
        return Loaded(file, tuple(profiles), tuple(findings), fleet)

    def _read(self, path: Path, file: str) -> tuple[Document | None, list[Finding]]:
        """What of one file agrees with the schema, and what is wrong with the rest."""
        document, findings = source.read(path, file)
        if document is None:
            return None, findings
        document, more = self.validator.check(document)
        return document, findings + more

    def _inherited(
        self, document: Document, path: Path, seen: tuple[Path, ...]
    ) -> tuple[Document | None, list[Finding], int]:
        """The document on top of what it extends, and over how many levels that goes.

        What is wrong with a base is said once, where it is first read.
        """
        if "extends" not in document.data:
            return document, [], 0
        keys: Keys = ("extends",)
        base_path = path.parent / document.data["extends"]
        try:
            seen = seen or (path.resolve(),)
            real = base_path.resolve()
        except (OSError, RuntimeError, ValueError) as error:
            wrong = f"cannot be followed: {error}"
            return None, [document.finding(keys, wrong, "give the path of a readable file")], 0
        if real in seen:
            return None, [document.finding(keys, "extends itself", "remove one link of the circle")], 0
        too_long = document.finding(keys, f"more than {MAX_EXTENDS} levels of `extends`", "flatten the chain")
        if len(seen) > MAX_EXTENDS:
            return None, [too_long], 0
        findings: list[Finding] = []
        if real not in self._bases:
            base, findings = self._read(base_path, str(base_path))
            levels = 0
            if base is not None:
                base, more, levels = self._inherited(base, base_path, (*seen, real))
                findings += more
            self._bases[real] = base, levels
        base, levels = self._bases[real]
        if base is None:
            where = f"{document.data['extends']} cannot be used"
            return None, [*findings, document.finding(keys, where, "mend that file, or name another")], 0
        if levels >= MAX_EXTENDS:
            return None, [*findings, too_long], 0
        kept = {key: value for key, value in base.data.items() if key not in _NOT_INHERITED}
        return merged(replace(base, data=kept), document), findings, levels + 1

    def _taken(self, document: Document) -> list[Finding]:
        """A finding when another file has the same name: both would write the same output."""
        position = document.position(("name",))
        first = self._names.setdefault(document.data["name"], position)
        if first is position:
            return []
        if position.file != document.file:
            wrong = f"the name {document.data['name']} comes from {position.file}, and is taken already"
            return [document.finding(("extends",), wrong, "give this profile a name of its own")]
        wrong = f"{document.data['name']} is also the name in {first.file}:{first.line}"
        return [document.finding(("name",), wrong, "give each profile a name of its own")]

    def _fleet(self, document: Document) -> tuple[list[Profile], list[Finding]]:
        """One profile per deployment."""
        findings: list[Finding] = []
        name = document.data.get("name", "")
        if len(name) > MAX_FLEET_NAME:
            wrong = f"{len(name)} characters, too long for a fleet"
            findings.append(
                document.finding(("name",), wrong, f"at most {MAX_FLEET_NAME}: release and settings are added")
            )
        given = document.data["deployments"]
        if len(given) > MAX_DEPLOYMENTS:
            wrong, right = f"{len(given)} entries", f"at most {MAX_DEPLOYMENTS}: split the fleet"
            return [], [*findings, document.finding(("deployments",), wrong, right)]
        root, entries = _unfolded(document)
        collections = len(root.data.get("collections", {}))
        if len(entries) * collections > MAX_FLEET_COLLECTIONS:
            wrong = f"{len(entries)} deployments times {collections} collections"
            right = f"at most {MAX_FLEET_COLLECTIONS} in one file: split the fleet"
            return [], [*findings, document.finding(("collections",), wrong, right)]
        profiles: list[Profile] = []
        for entry in entries:
            whole = merged(root, entry)
            profile, found = resolve(whole, self.defaults)
            findings += found
            if profile and profile.disk and not profile.disk.shared and len(entries) > 1:
                wrong = "in a fleet, and nothing says whose disk is whose"
                findings.append(
                    whole.finding(("disk",), wrong, f"{SHARED_DISK}: {', '.join(profile.identity)}", of_key=True)
                )
            if profile:
                own = {key: value for key, value in entry.data.items() if key not in ("selector", "milvus")}
                settings = {key: value for key, value in whole.data.items() if key != "selector"}
                profiles.append(replace(profile, digest=digest(settings), overrides=digest(own) if own else ""))
        return profiles, findings


def _unfolded(document: Document) -> tuple[Document, list[Document]]:
    """A fleet file as the settings beside its list, and one document per entry of the list."""
    given = document.data["deployments"]
    entries = [Document(document.file, entry if isinstance(entry, dict) else {}, {}, {}) for entry in given]
    shared = {key: value for key, value in document.data.items() if key != "deployments"}
    root = Document(document.file, shared, {}, {})
    for table in ("values", "keys"):
        for keys, position in getattr(document, table).items():
            if keys[:1] != ("deployments",):
                getattr(root, table)[keys] = position
            elif len(keys) > 1:
                getattr(entries[keys[1]], table)[keys[2:]] = position
    return root, [entry for entry, each in zip(entries, given, strict=True) if isinstance(each, dict)]


def files(paths: Iterable[Path]) -> list[Path]:
    """The given files, and the YAML files directly inside the given directories, each once, in a stable order.

    Hidden files do not count, which are mostly an editor's. Raises InputError for a directory that yields no file.
    """
    found: list[Path] = []
    findings = []
    for path in paths:
        if not os.path.isdir(path):  # also what is missing or cannot be reached: whoever reads it says so
            found.append(path)
            continue
        try:
            names = sorted(name for name in os.listdir(path) if not name.startswith("."))
        except OSError as error:
            wrong, right = f"cannot be listed: {error.strerror}", "give a directory that can be read"
            findings.append(Finding("error", str(path), 0, 0, "", wrong, right))
            continue
        inside = [path / name for name in names if name.endswith((".yaml", ".yml"))]
        if not inside:
            wrong, right = "no profile in this directory", "give files that end in .yaml or .yml, or where they are"
            findings.append(Finding("error", str(path), 0, 0, "", wrong, right))
        found += inside
    if findings:
        raise InputError(findings)
    once: dict[object, Path] = {}
    for path in found:
        once.setdefault(_identity(path), path)
    return list(once.values())


def _identity(path: Path) -> object:
    """What tells a file from others, however it is spelled or linked.

    Its directory belongs to it: `extends` starts there, so that a link elsewhere can mean another profile.
    """
    try:
        file, directory = os.stat(path), os.stat(path.parent)
    except OSError:
        return path
    return file.st_dev, file.st_ino, directory.st_dev, directory.st_ino
