"""Addresses in messages: without what only their owner should know."""

import re

# Greedy, because a password that nobody has quoted may itself hold @, / or a colon.
_LOGIN = re.compile(r"""(?<=://)[^\s'"<>]*@""")


def without_login(text: str) -> str:
    """Return a text without the names and passwords that stand before the hosts of addresses.

    >>> without_login("postgresql://ana:p@ss/word@db.example.org/maps is no host")
    'postgresql://db.example.org/maps is no host'

    Args:
        text: that may hold addresses.
    """
    return _LOGIN.sub("", text)


def has_login(text: str) -> bool:
    """Tell whether a text holds an address with a name or a password.

    Args:
        text: that may hold addresses.
    """
    return _LOGIN.search(text) is not None
