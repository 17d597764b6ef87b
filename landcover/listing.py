"""Lists in sentences."""

from collections.abc import Sequence


def listed(items: Sequence[str], most: int) -> str:
    """Return items joined by commas; of many, the first, and how many more there are.

    >>> listed(["a", "b", "c", "d"], 2)
    'a, b and 2 more'

    Args:
        items: what is listed.
        most: how many are named.
    """
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
