"""Lists in sentences."""

from hypothesis import given
from hypothesis import strategies as st

from landcover.listing import listed


@given(st.lists(st.integers()), st.integers(1, 10))
def test_every_item_is_written_out_or_counted(items: list[int], most: int) -> None:
    shown, _, more = listed(items, most).partition(" and ")
    written = shown.split(", ") if shown else []
    assert written == [str(item) for item in items[:most]]
    assert len(written) + int(more.removesuffix(" more") or 0) == len(items)
