"""Lists in sentences."""

from collections.abc import Sequence


def listed(items: Sequence[object], most: int) -> str:
    """Return items as text, only the first few where there are many.

    >>> listed(["a", "b", "c"], most=3)
    'a, b, c'
    >>> listed(["a", "b", "c", "d", "e"], most=3)
    'a, b, c and 2 more'

    Args:
        items: what is listed.
        most: how many are written out.
    """
    shown = ", ".join(str(item) for item in items[:most])
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown
