"""Slow-query lines of Milvus proxy logs -> which queries are slow, and what likely makes them so."""
