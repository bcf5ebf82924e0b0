"""YAML text -> Profile, with every mistake of every file found and placed."""

from generator.profile.load import Loader
from generator.profile.model import OPERATIONS, TIERS, AlertSettings, Profile, Scope, Selector, Thresholds

__all__ = ["OPERATIONS", "TIERS", "AlertSettings", "Loader", "Profile", "Scope", "Selector", "Thresholds"]
