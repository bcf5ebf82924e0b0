"""Thresher: compiles a threshold profile for Milvus into proven Prometheus rules."""

__version__ = "0.1.0"
