"""`thresher lint`: the type checker for rules and dashboards that Thresher did not write.

The stages, in the order data flows: `nodes` reads YAML and JSON into values that know where they stand, `rules` and
`dashboards` find the expressions in them, `variables` makes PromQL of what Grafana fills in, `names` tells metrics and
labels of Milvus from others, `walk` (with `selectors` and `quantities`) gives every part of an expression a type and
says what cannot be right, `check` puts this together for one expression, and `run` for files. It only speaks up where
an expression cannot be right, and only of Milvus' own metrics.
"""
