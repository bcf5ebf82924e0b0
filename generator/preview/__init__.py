"""Dashboards as one page of HTML, for a pull request or a machine without Grafana.

What is drawn are the very files that a build writes. `answers` is what comes back to their queries, whoever is asked:
a server (`prometheus`), or promtool with the scenarios of the generated tests (`scenarios`). `scales` knows units and
axes, `drawing` makes a picture of each panel, and `page` puts them together.
"""
