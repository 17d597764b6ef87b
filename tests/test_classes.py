"""Class codes: fixed ones, new ones, and how labels are spelled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landcover.classes import (
    FIXED_CODES,
    NODATA,
    assign_codes,
    class_names,
    colour,
    label_key,
)
from landcover.errors import LandcoverError

# What maps made before rely on, written out.
CONTRACT = {
    "Forest": 0,
    "Non-Forest": 1,
    "Cloud": 2,
    "Shadow": 3,
    "Water": 4,
    "Haze": 5,
    "Sensor Error": 6,
}
LABELS = st.lists(st.text("abcXYZ -_é", min_size=1).filter(label_key), max_size=20)


def test_fixed_codes_are_those_of_the_contract() -> None:
    assert dict(FIXED_CODES) == CONTRACT
    assert NODATA == 255
    assert assign_codes(CONTRACT, {}) == CONTRACT


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        ("forest", 0),
        ("FOREST", 0),
        (" Forest ", 0),
        ("NonForest", 1),
        ("non forest", 1),
        ("non-forest", 1),
        ("NON_FOREST", 1),
        ("clouD", 2),
        ("SensorError", 6),
        ("sensor-error", 6),
    ],
)
def test_a_spelling_of_a_fixed_class_has_its_code(spelling: str, code: int) -> None:
    assert assign_codes([spelling], {}) == {spelling: code}


def test_spellings_of_one_new_class_share_a_code() -> None:
    codes = assign_codes(["Oil Palm", "oil palm", "OilPalm", "Banana"], {})
    assert codes == {"Banana": 7, "Oil Palm": 8, "oil palm": 8, "OilPalm": 8}


def test_new_labels_take_the_next_free_codes_in_alphabetical_order() -> None:
    assert assign_codes(["Mangrove", "banana", "Forest", "Cacao"], {}) == {
        "banana": 7,
        "Cacao": 8,
        "Forest": 0,
        "Mangrove": 9,
    }


def test_a_label_keeps_the_code_that_it_was_given() -> None:
    may = assign_codes(["Mangrove", "Palm"], {})
    june = assign_codes(["Banana", "palm", "Mangrove"], may)
    assert june == {"Mangrove": may["Mangrove"], "palm": may["Palm"], "Banana": 9}


def test_a_code_is_never_given_again_though_its_label_is_not_used_this_month() -> None:
    codes = assign_codes(["Banana"], {"Mangrove": 7, "Palm": 9})
    assert codes == {"Banana": 10}


@given(first=LABELS, second=LABELS)
def test_labels_of_one_class_and_only_they_share_a_code_in_any_month(
    first: list[str], second: list[str]
) -> None:
    given_first = assign_codes(first, {})
    given_second = assign_codes(second, given_first)
    both = [*given_first.items(), *given_second.items()]
    for label, code in both:
        for other, other_code in both:
            assert (code == other_code) == (label_key(label) == label_key(other))


def test_the_order_of_labels_does_not_matter() -> None:
    labels = ["Palm", "Banana", "Water", "Mangrove", "banana"]
    assert assign_codes(labels, {}) == assign_codes(reversed(labels), {})


def test_as_many_classes_as_uint8_holds_beside_nodata_are_taken() -> None:
    labels = [f"class {number:03}" for number in range(NODATA - len(CONTRACT))]
    assert max(assign_codes(labels, {}).values()) == 254


def test_one_class_too_many_is_told_and_not_written_as_nodata() -> None:
    labels = [f"class {number:03}" for number in range(NODATA - len(CONTRACT) + 1)]
    with pytest.raises(LandcoverError, match=r"256.*255.*fewer labels"):
        assign_codes(labels, {})


def test_a_class_has_one_name_the_fixed_one_then_the_earlier_one_then_the_label() -> None:
    earlier = {"Oil palm": 7}
    codes = assign_codes(["non forest", "OIL PALM", "banana", "Banana"], earlier)
    assert class_names(codes, earlier) == {1: "Non-Forest", 7: "Oil palm", 8: "Banana"}


def test_names_are_those_of_the_month_s_classes_only() -> None:
    assert class_names(assign_codes(["water"], {}), {"Palm": 7}) == {4: "Water"}


def test_every_code_has_a_colour_and_those_of_the_first_nineteen_differ() -> None:
    colours = [colour(code) for code in range(NODATA)]
    assert all(0 <= part <= 255 for colour_ in colours for part in colour_)
    assert len(set(colours[:19])) == 19
