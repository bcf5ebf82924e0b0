"""Rule groups and dashboards -> Kubernetes resources, and the kustomization that names them.

A resource is written as text, like the rules in it: every free text as a JSON string, documents as block scalars.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring as text
from pathlib import PurePosixPath

from generator import conventions
from generator.platforms import Kind
from generator.profile import Dashboards, Target

# `kubectl apply` keeps what it has applied in an annotation, and annotations may have 256 KiB in all.
# kubernetes.io/docs/concepts/overview/working-with-objects/annotations/
_MOST_APPLIED = 256 * 1024


@dataclass(frozen=True, slots=True)
class Resources:
    """Dashboards as they are shipped, what there is to say about them, and those that do not fit, with their size."""

    files: Mapping[PurePosixPath, bytes]
    notes: tuple[str, ...] = ()
    too_big: tuple[tuple[str, int], ...] = ()


def rules(target: Target, name: str, groups: str) -> str:
    """The resource with these rule groups (the text that begins with `groups:`)."""
    assert target.platform.kind
    head = _head(target.platform.kind, name, target.namespace, target.labels)
    return "\n".join([*head, "spec:", "  " + groups.rstrip("\n").replace("\n", "\n  ")]) + "\n"


def dashboards(header: str, written: Dashboards, documents: Mapping[PurePosixPath, bytes]) -> Resources:
    """The dashboards of a profile or fleet, by their paths, in the form that it asks for."""
    if written.format.kind is None:
        return Resources(documents)
    files = {}
    notes, too_big = [], []
    for path, content in documents.items():
        name = conventions.resource_name(*path.name.removesuffix(".json").split(".", 1))
        resource = "\n".join(_dashboard(written.format.kind, name, written, path.name, content.decode())) + "\n"
        files[conventions.resource_file(path)] = (header + resource).encode()
        size = len(files[conventions.resource_file(path)])
        if size > written.format.most_bytes:
            too_big.append((path.name, size))
        elif size > _MOST_APPLIED:
            notes.append(f"{path.name} has {size // 1024} KiB: apply it with --server-side, or create it")
    return Resources(files, tuple(notes), tuple(too_big))


def _dashboard(kind: Kind, name: str, written: Dashboards, file: str, content: str) -> Iterator[str]:
    body = content.rstrip("\n").replace("\n", "\n    ")
    if kind.name == "ConfigMap":
        annotations = (("grafana_folder", written.folder),) if written.folder else ()
        yield from _head(kind, name, written.namespace, written.labels, annotations)
        yield f"data:\n  {file}: |\n    {body}"
        return
    yield from _head(kind, name, written.namespace)
    yield "spec:\n  instanceSelector:\n    matchLabels:"
    yield from (f"      {label}: {text(value)}" for label, value in written.labels)
    if written.folder:
        yield f"  folder: {text(written.folder)}"
    yield f"  json: |\n    {body}"


def _head(
    kind: Kind,
    name: str,
    namespace: str,
    labels: Iterable[tuple[str, str]] = (),
    annotations: Iterable[tuple[str, str]] = (),
) -> Iterator[str]:
    yield f"apiVersion: {kind.api}\nkind: {kind.name}\nmetadata:\n  name: {name}"
    if namespace:
        yield f"  namespace: {text(namespace)}"
    for key, pairs in (("labels", labels), ("annotations", annotations)):
        lines = [f"    {name}: {text(value)}" for name, value in pairs]
        if lines:
            yield "\n".join([f"  {key}:", *lines])


def kustomization(header: str, resources: Iterable[PurePosixPath]) -> str:
    """A kustomization of these files, given by their paths from where it lies."""
    lines = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization", "resources:"]
    return header + "\n".join([*lines, *(f"  - {path}" for path in sorted(resources))]) + "\n"
