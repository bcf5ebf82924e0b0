"""Requests to a real Milvus: collections to search, a steady healthy load on them, and a storm.

    milvus_load.py fill | steady | storm

A program of its own, because pymilvus and the compiler need versions of their dependencies that exclude each other.
`steady` and `storm` go on until they are interrupted, and print a line `KIND END MILLISECONDS` per request, END in
seconds since the epoch: what the recorded series can be held against.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np  # type: ignore[import-not-found]
import pymilvus as milvus  # type: ignore[import-not-found]

# Collections by their numbers of vectors. The storm hits the first one.
COLLECTIONS = {"articles": 20_000, "letters": 2_000}
DIMENSION = 64

# The steady load rests so long after each round: it leaves a slow machine idle most of the time.
PAUSE_S = 0.05

# Each thread of a storm looks for the batch that keeps it waiting about so long, whatever the machine can do.
# Milvus takes no more than 16384 vectors at once.
WAIT_MS = 2000
MOST_VECTORS = 16_000


def main(what: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end at once, and also where the parent ignores interrupts
    milvus.connections.connect(host="127.0.0.1", port="19530", timeout=120)
    {"fill": fill, "steady": steady, "storm": storm}[what]()


def fill() -> None:
    """Makes collections that are flushed, indexed and loaded, so that nothing goes on in the background."""
    schema = milvus.CollectionSchema(
        [
            milvus.FieldSchema("id", milvus.DataType.INT64, is_primary=True),
            milvus.FieldSchema("shelf", milvus.DataType.INT64),
            milvus.FieldSchema("embedding", milvus.DataType.FLOAT_VECTOR, dim=DIMENSION),
        ]
    )
    index = {"index_type": "HNSW", "metric_type": "L2", "params": {"M": 16, "efConstruction": 64}}
    for name, rows in COLLECTIONS.items():
        collection = milvus.Collection(name, schema)
        collection.insert([list(range(rows)), [row % 100 for row in range(rows)], vectors(rows)])
        collection.flush()
        collection.create_index("embedding", index)
        collection.load()


def steady() -> None:
    """Small searches and queries of every collection, one at a time."""
    collections = [milvus.Collection(name) for name in COLLECTIONS]
    while True:
        for collection in collections:
            timed("search", partial(search, collection, size=20, ef=64))
            timed("query", partial(collection.query, "shelf == 7", output_fields=["id"], limit=10))
        time.sleep(PAUSE_S)


def storm() -> None:
    """Large batches from as many threads as there are cores, at least four: latency grows, and nothing fails."""
    collection = milvus.Collection(next(iter(COLLECTIONS)))

    def rage() -> None:
        size = 1000
        while True:
            took = timed("search", partial(search, collection, size, ef=512))
            if took < WAIT_MS:
                size = min(2 * size, MOST_VECTORS)
            elif took > 2 * WAIT_MS:
                size = max(size // 2, 1)

    for _ in range(max(4, os.cpu_count() or 1)):
        threading.Thread(target=rage, daemon=True).start()
    threading.Event().wait()


def search(collection: Any, size: int, ef: int) -> None:
    """Searches the neighbours of `size` vectors at once; the larger `ef`, the more of the index is looked at."""
    params = {"metric_type": "L2", "params": {"ef": ef}}
    collection.search(vectors(size), "embedding", params, limit=10, consistency_level="Bounded")


def vectors(count: int) -> Any:
    return np.random.default_rng().random((count, DIMENSION), dtype=np.float32)


def timed(kind: str, request: Callable[[], object]) -> float:
    """Sends the request, prints how long it took, and returns that in milliseconds."""
    start = time.perf_counter()
    request()
    took = (time.perf_counter() - start) * 1000
    sys.stdout.write(f"{kind} {time.time():.3f} {took:.3f}\n")
    sys.stdout.flush()
    return took


if __name__ == "__main__":
    main(sys.argv[1])
