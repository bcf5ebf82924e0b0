"""The units of quantities: symbols with exponents, such as (("ms", 1), ("s", -1)). A plain count has none."""

from __future__ import annotations

Unit = tuple[tuple[str, int], ...]


def unit_text(unit: Unit) -> str:
    """A unit as templates write it: `ms/s`, or `1` for a plain count."""
    above = "·".join(symbol for symbol, power in unit if power > 0 for _ in range(power))
    below = "·".join(symbol for symbol, power in unit if power < 0 for _ in range(-power))
    return (above or "1") + (f"/{below}" if below else "")


def times(left: Unit, right: Unit) -> Unit:
    """The unit of a product."""
    powers = dict(left)
    for symbol, power in right:
        powers[symbol] = powers.get(symbol, 0) + power
    return tuple(sorted((symbol, power) for symbol, power in powers.items() if power))


def inverse(unit: Unit) -> Unit:
    """The unit of one divided by the quantity."""
    return tuple((symbol, -power) for symbol, power in unit)
