"""PromQL: `text` writes it safely, `check` proves it against what a Milvus release exposes."""
