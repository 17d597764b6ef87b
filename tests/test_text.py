"""Text of any column: the same value is the same text, however it is stored."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from landcover.errors import LandcoverError
from landcover.text import as_text, clean


def text_of(value: object) -> object:
    (found,) = as_text(pd.Series([value], dtype=object), "The column label of drawn.gpkg")
    return None if found is pd.NA else found


@pytest.mark.parametrize(
    "ten",
    [10, 10.0, np.int16(10), np.float32(10), Decimal("10.00"), Decimal("1E+1"), "10.0", " 10.00 "],
)
def test_a_whole_number_has_no_decimals_however_it_is_stored(ten: object) -> None:
    assert text_of(ten) == "10"


@pytest.mark.parametrize("dtype", ["Int64", "float64", "Float32", "int64[pyarrow]", "object"])
def test_a_missing_value_does_not_change_the_others(dtype: str) -> None:
    texts = as_text(pd.Series([1, None, 10], dtype=dtype), "The column")
    assert texts.dtype == "string"
    assert texts.tolist() == ["1", pd.NA, "10"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e20, "100000000000000000000"),
        (2**60 + 1, "1152921504606846977"),
        (2.5, "2.5"),
        (Decimal("2.50"), "2.5"),
        (np.float32(0.1), "0.1"),
        (1e-7, "0.0000001"),
        ("1.10", "1.10"),
        ("007", "007"),
        (True, "true"),
        (np.array([False])[0], "false"),
        (b"p\xc3\xa1ramo", "páramo"),
        (memoryview(b"cloud "), "cloud"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (date(2025, 6, 1), "2025-06-01"),
        (np.datetime64("2025-06-01"), "2025-06-01"),
        (datetime(2025, 6, 1, 5, tzinfo=UTC), "2025-06-01T05:00:00+00:00"),
    ],
)
def test_values_of_every_type_have_their_text(value: object, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    "missing",
    [None, pd.NA, pd.NaT, float("nan"), Decimal("NaN"), "", " \n", "\u200b", "\ufeff\u00a0", b""],
)
def test_what_says_nothing_is_missing(missing: object) -> None:
    assert text_of(missing) is None


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("pa\u0301ramo", "páramo"),
        ("\ufeff Oil\u00a0 Palm\u2003\n", "Oil Palm"),
        ("Bos\u200bque", "Bosque"),
        ("a\x00b\x07", "a b"),
        ("a\uffffb\ufffec\ud800", "abc"),
        ("\u0928\u200d", "\u0928"),
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),
    ],
)
def test_text_is_composed_and_without_blanks_that_nobody_sees(written: str, text: str) -> None:
    assert clean(written) == text
    assert clean(text) == text


def test_categories_and_their_index_are_kept() -> None:
    values = pd.Series([1, 2, 1], index=[5, 7, 9], name="class", dtype="category")
    texts = as_text(values, "The column")
    assert (texts.index.tolist(), texts.name, texts.tolist()) == (
        [5, 7, 9],
        "class",
        ["1", "2", "1"],
    )


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"p\xe1ramo", "bytes that are not text in UTF-8"),
        ([1, 2], r"list values, such as '\[1, 2\]'"),
        ({"es": "bosque"}, "dict values"),
        ("\ud800", "not Unicode"),
    ],
)
def test_what_is_not_text_is_told_with_its_column(value: object, told: str) -> None:
    with pytest.raises(LandcoverError, match=f"The column label of drawn.gpkg holds .*{told}"):
        text_of(value)
