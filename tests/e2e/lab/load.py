"""Requests to a real Milvus that make it slow, or keep it busy in a healthy way.

    load.py fill JSON       makes a collection that is flushed, indexed and loaded, as the JSON describes it
    load.py search JSON     searches it, as the JSON says, until interrupted

A program of its own, because pymilvus and the compiler need versions of their dependencies that exclude each other.
Searching prints a line `ready`, and then `ok|failed MILLISECONDS` for each search.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
import time
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np  # type: ignore[import-not-found]
import pymilvus as milvus  # type: ignore[import-not-found]

# Milvus takes at most 64 MB at once.
ROWS_AT_ONCE = 10_000


def main(what: str, spec: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end at once, and also where the parent ignores interrupts
    milvus.connections.connect(host="127.0.0.1", port="19530", timeout=120)
    if what == "fill":
        fill(**spec)
    else:
        search(**spec)


def fill(name: str, rows: int, dimension: int, index: str = "HNSW", segments: int = 1, growing: bool = False) -> None:
    """Makes a collection of so many rows, in so many segments of the same size."""
    schema = milvus.CollectionSchema(
        [
            milvus.FieldSchema("id", milvus.DataType.INT64, is_primary=True),
            milvus.FieldSchema("shelf", milvus.DataType.INT64),
            milvus.FieldSchema("title", milvus.DataType.VARCHAR, max_length=64),
            milvus.FieldSchema("embedding", milvus.DataType.FLOAT_VECTOR, dim=dimension),
        ]
    )
    collection = milvus.Collection(name, schema)
    if segments == 1:
        insert(collection, 0, rows)
    else:
        # Segments of a partition would soon be merged.
        for segment in range(segments):
            collection.create_partition(f"p{segment}")
            first = rows * segment // segments
            insert(collection, first, rows * (segment + 1) // segments - first, f"p{segment}")
    if not growing:
        collection.flush()
    params = {"HNSW": {"M": 16, "efConstruction": 64}, "IVF_FLAT": {"nlist": 128}}.get(index, {})
    collection.create_index("embedding", {"index_type": index, "metric_type": "L2", "params": params})
    milvus.utility.wait_for_index_building_complete(name)
    collection.load()


def insert(collection: Any, first: int, rows: int, partition: str | None = None) -> None:
    for start in range(first, first + rows, ROWS_AT_ONCE):
        ids = range(start, min(start + ROWS_AT_ONCE, first + rows))
        dimension = collection.schema.fields[-1].params["dim"]
        titles = [f"u{each:08}" for each in ids]
        collection.insert([list(ids), [each % 100 for each in ids], titles, vectors(len(ids), dimension)], partition)


def search(
    collection: str,
    nq: int = 1,
    threads: int = 1,
    ef: int = 64,
    limit: int = 10,
    consistency: str = "Bounded",
    terms: int = 0,
    term: str = "",
    pause_s: float = 0,
    timeout_s: float | None = None,
    inserts: int = 0,
    begin: str = "",
) -> None:
    """Searches with so many vectors from so many threads; with a filter of terms joined by OR, each with a number.

    Beside the searches, so many rows are inserted each second. It all begins as soon as there is a file `begin`.
    """
    searched = milvus.Collection(collection)
    dimension = searched.schema.fields[-1].params["dim"]
    numbers = itertools.count()

    def rage() -> None:
        while True:
            first = next(numbers) * terms % 1000
            request = {
                "data": vectors(nq, dimension),
                "anns_field": "embedding",
                "param": {"metric_type": "L2", "params": {"ef": max(ef, limit)}},
                "limit": limit,
                "expr": " or ".join(term.format(first + each) for each in range(terms)) or None,
                "consistency_level": consistency,
            }
            start = time.perf_counter()
            try:
                searched.search(**request, timeout=timeout_s)
                result = "ok"
            except (milvus.MilvusException, grpc.RpcError):
                result = "failed"
            sys.stdout.write(f"{result} {(time.perf_counter() - start) * 1000:.1f}\n")
            sys.stdout.flush()
            time.sleep(pause_s)

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while begin and not os.path.exists(begin):
        time.sleep(0.05)
    for _ in range(threads):
        threading.Thread(target=rage, daemon=True).start()
    while inserts:
        insert(searched, int(time.time() * 1000), inserts)
        time.sleep(1)
    threading.Event().wait()


def vectors(count: int, dimension: int) -> Any:
    return np.random.default_rng().random((count, dimension), dtype=np.float32)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
