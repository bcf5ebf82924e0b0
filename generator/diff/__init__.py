"""Two versions of rules and dashboards -> what changes for the people on call."""
