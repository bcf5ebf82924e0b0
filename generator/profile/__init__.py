"""YAML text -> Profile, with every mistake of every file found and placed."""

from generator.profile.load import Loader
from generator.profile.model import (
    OPERATIONS,
    TIERS,
    AlertSettings,
    Dashboards,
    Disk,
    Objective,
    Profile,
    Scope,
    Selector,
    Target,
    Texts,
    Thresholds,
)

__all__ = [
    "OPERATIONS",
    "TIERS",
    "AlertSettings",
    "Dashboards",
    "Disk",
    "Loader",
    "Objective",
    "Profile",
    "Scope",
    "Selector",
    "Target",
    "Texts",
    "Thresholds",
]
