"""Grafana dashboards, compiled from the same profile and the same recorded series as the rules.

`definitions` reads `dashboards/*.yaml`; `panels` fills a definition in for one rule set, and checks every query like a
rule; `grafana` turns the outcome into Grafana's JSON; `documents` does all of it for one profile or fleet.
"""
