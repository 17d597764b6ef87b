"""Class codes: fixed ones, new ones, and how labels are spelled."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from landcover.classes import (
    FIXED_CODES,
    LAST_COLOUR,
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
LABELS = st.lists(st.text("abcXYZ12 -_é%.", min_size=1).filter(label_key), max_size=20)


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


@pytest.mark.parametrize(
    "spellings",
    [
        ["1-2", "1 2", "1_2", "1\u20132", "1 - 2"],
        ["-1", "\u22121", "-1.0"],
        ["1", "1.0", "- 1"],
        ["páramo", "pa\u0301ramo", "PÁRAMO", "\ufeffpáramo\u00a0"],
        ["Straße", "STRASSE"],
        ["co\u00adop", "co-op", "coop"],
        ["\u0935\u0928", " \u0935\u0928"],
    ],
)
def test_spellings_that_differ_in_case_and_separators_are_one_label(spellings: list[str]) -> None:
    assert len({label_key(spelling) for spelling in spellings}) == 1


def test_signs_digits_and_marks_of_any_script_tell_labels_apart() -> None:
    labels = ["Bosque >50%", "Bosque <50%", "Bosque 50%", "Bosque 50", "páramo", "paramo", "año"]
    labels += ["ano", "1", "-1", "+1", "12", "1-2", "1.2", "m2", "m²", "C", "C+", "C++"]
    labels += ["\u0915\u093f", "\u0915\u0940", "\u0915"]
    assert len({label_key(label) for label in labels}) == len(labels)


@pytest.mark.parametrize("label", ["", " ", "--", "_ \u2013", "\u00a0\u200b"])
def test_separators_alone_are_not_a_label(label: str) -> None:
    assert label_key(label) == ""


def test_a_name_of_an_earlier_month_keeps_its_code_and_a_label_that_was_merged_gets_its_own() -> (
    None
):
    codes = assign_codes(["Bosque <50%", "Bosque >50%"], {"Bosque >50%": 7})
    assert codes == {"Bosque >50%": 7, "Bosque <50%": 8}
    assert class_names(codes, {"Bosque >50%": 7})[7] == "Bosque >50%"


def test_a_class_that_was_given_two_codes_keeps_the_first_and_no_code_is_given_again() -> None:
    given = {"páramo": 7, "pa\u0301ramo": 9}
    assert assign_codes(["PÁRAMO", "Palm"], given) == {"PÁRAMO": 7, "Palm": 10}
    assert assign_codes(["1"], {"1.00": 8}) == {"1": 8}


# --- colours --------------------------------------------------------------------------------------


def lab(rgb: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return CIELAB coordinates (D65) of an sRGB colour (IEC 61966-2-1)."""
    part = np.array(rgb) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ linear / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def difference(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """Return CIEDE2000 (G. Sharma, W. Wu, E. Dalal, Color Research & Application 30, 2005)."""
    (light, *_), (other_light, *_) = one, two
    chroma = (np.hypot(*one[1:]) + np.hypot(*two[1:])) / 2
    stretch = 1 + (1 - np.sqrt(chroma**7 / (chroma**7 + 25**7))) / 2
    chromas = [np.hypot(stretch * colour[1], colour[2]) for colour in (one, two)]
    hues = [np.degrees(np.arctan2(c[2], stretch * c[1])) % 360 for c in (one, two)]
    turn = (hues[1] - hues[0] + 180) % 360 - 180 if min(chromas) else 0
    mean_light, mean_chroma = (light + other_light) / 2, sum(chromas) / 2
    hue = (hues[0] + turn / 2) % 360 if min(chromas) else sum(hues)
    cosines = zip((0.17, -0.24, -0.32, 0.2), (1, 2, 3, 4), (-30, 0, 6, -63), strict=True)
    weight = 1 - sum(share * np.cos(np.radians(n * hue + at)) for share, n, at in cosines)
    lightness = (other_light - light) / (
        1 + 0.015 * (mean_light - 50) ** 2 / np.sqrt(20 + (mean_light - 50) ** 2)
    )
    saturation = (chromas[1] - chromas[0]) / (1 + 0.045 * mean_chroma)
    tint = 2 * np.sqrt(chromas[0] * chromas[1]) * np.sin(np.radians(turn / 2))
    tint /= 1 + 0.015 * mean_chroma * weight
    rotation = -np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    rotation *= 2 * np.sqrt(mean_chroma**7 / (mean_chroma**7 + 25**7))
    return float(np.sqrt(lightness**2 + saturation**2 + tint**2 + rotation * saturation * tint))


@pytest.mark.parametrize(
    ("one", "two", "published"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_differences_of_colours_are_those_that_sharma_published(
    one: Sequence[float], two: Sequence[float], published: float
) -> None:
    assert difference(np.array(one), np.array(two)) == pytest.approx(published, abs=5e-5)


def test_no_two_colours_of_a_report_are_confused_by_eye() -> None:
    assert LAST_COLOUR >= 23
    colours = [lab(colour(code)) for code in range(LAST_COLOUR + 1)]
    assert min(difference(one, two) for one, two in combinations(colours, 2)) > 10


def test_every_code_has_a_colour_and_the_fixed_ones_are_those_of_earlier_maps() -> None:
    colours = [colour(code) for code in range(NODATA)]
    assert all(0 <= part <= 255 for colour_ in colours for part in colour_)
    assert colours[:9] == [
        (27, 120, 55),
        (229, 196, 110),
        (240, 240, 240),
        (84, 84, 96),
        (49, 130, 189),
        (197, 205, 220),
        (214, 39, 40),
        (152, 78, 163),
        (255, 127, 0),
    ]
