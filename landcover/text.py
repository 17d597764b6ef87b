"""Text: what a column of any type says in words. All text of other people's files enters here."""

import math
import re
import unicodedata
from datetime import date, datetime, time
from decimal import Decimal
from numbers import Integral
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd

from landcover.errors import LandcoverError

# A run of blanks: spaces of any width, line ends and other control characters, and characters that
# are not seen at all (zero-width space, marks of direction, word joiner, byte order mark). The
# joiners U+200C and U+200D are letters' own in Persian and Hindi: they are blanks at an end only.
# Halves of characters, U+FFFE and U+FFFF are none at all: XML can hold them no more than control
# characters, not even escaped.
_UNSEEN = "\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff"
_BLANKS = re.compile(rf"[\s\x00-\x1f\x7f-\x9f{_UNSEEN}]+")
_SEEN = re.compile(rf"[^{_UNSEEN}]")
_JOINERS = "\u200c\u200d"

# A whole number that was written as a decimal one.
_WHOLE = re.compile(r"([+-]?[0-9]+)\.0+")


def as_text(values: pd.Series, where: str) -> pd.Series:
    """Return what a column says as text, the same however its type stores it.

    Whole numbers have no decimals (1, 1.0, Decimal("1.00") and "1.0" are `1`), other numbers no
    exponent; yes and no are `true` and `false`; dates are ISO 8601; bytes are UTF-8. Text is
    composed (Unicode NFC), without blanks around it and with single spaces in it.

    Args:
        values: a column of any type.
        where: the column and its file or table, for messages.

    Returns:
        Text of the dtype `string` with the column's index; NA where there is no value, or no text.

    Raises:
        LandcoverError: if a value is not text and cannot be told as text.
    """
    texts = [_one(value, where) or None for value in values]
    return pd.Series(texts, index=values.index, name=values.name, dtype="string")


def clean(text: str) -> str:
    """Return a text as `as_text` has it.

    >>> clean("  pa\\u0301ramo\\u00a0 alto\\n"), clean("10.0")
    ('páramo alto', '10')
    """
    composed = unicodedata.normalize("NFC", text)
    spaced = _BLANKS.sub(lambda run: " " if _SEEN.search(run[0]) else "", composed)
    stripped = spaced.strip(f" {_JOINERS}")
    whole = _WHOLE.fullmatch(stripped)
    return whole[1] if whole else stripped


def _one(value: object, where: str) -> str | None:
    """Return one value as text; None where there is none."""
    if isinstance(value, str):
        _check_storable(value, where)
        return clean(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return _decoded(bytes(value), where)
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, float | np.floating | Decimal):
        return _number(value)
    if isinstance(value, date | np.datetime64):
        return _date(pd.Timestamp(value))
    if isinstance(value, UUID | time | pd.Period):
        return str(value)
    raise LandcoverError(
        f"{where} holds {type(value).__name__} values, such as {str(value)[:40]!r}, where text or "
        "numbers are expected: name another column."
    )


def _check_storable(value: str, where: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise LandcoverError(
            f"{where} holds text that is not Unicode ({value!r}): write it again."
        ) from error


def _decoded(value: bytes, where: str) -> str:
    try:
        return clean(value.decode())
    except UnicodeDecodeError as error:
        raise LandcoverError(
            f"{where} holds bytes that are not text in UTF-8 ({value[:20]!r}): write it again as "
            "text."
        ) from error


def _number(value: float | np.floating[Any] | Decimal) -> str | None:
    if math.isnan(value):
        return None
    if not math.isfinite(value):
        return str(value)
    if value == int(value):
        return str(int(value))
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return str(np.format_float_positional(value, trim="-"))


def _date(value: pd.Timestamp) -> str:
    moment: datetime = value.to_pydatetime(warn=False)
    at_midnight = moment.time() == time() and moment.tzinfo is None
    return moment.date().isoformat() if at_midnight else moment.isoformat()
