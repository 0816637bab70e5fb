"""Number formatting, so that tables, reasons, reports and drawings show the same digits."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal


def figure(value: float, digits: int = 1, *, signed: bool = False) -> str:
    """Format a number with a fixed number of decimals.

    Rounds the decimal number, halves away from zero (3.35 → ``3.4``); Python's own formatting rounds the
    binary number. ``fixed`` in the page's words.js does the same.

    Args:
        value: a number of a response, such as millimetres rounded to two decimals.
        digits: decimals.
        signed: write ``+`` before a positive number.

    Example:
        >>> figure(3.35), figure(-0.04), figure(0.16, signed=True)
        ('3.4', '0.0', '+0.2')
    """
    rounded = Decimal(repr(round(float(value), 9))).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    if not rounded:
        rounded = abs(rounded)  # no negative zero
    return f"{rounded:{'+' if signed and rounded else ''}}"
