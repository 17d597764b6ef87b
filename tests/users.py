"""Other users of the machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

TEAM, COLLEAGUE = 4321, 4322


@contextmanager
def as_user(number: int) -> Iterator[None]:
    """Be another user, as root may."""
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)
