"""Rule groups -> the files of the platform that evaluates them, and dashboards -> those of the one that shows them."""
