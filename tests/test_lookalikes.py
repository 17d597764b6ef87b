"""New classes that are probably another one, misspelled or misread."""

import pytest

from landcover.classes import LAST_COLOUR
from landcover.lookalikes import class_notices, describe_merged, looks_like, repaired


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Forrest", "Forest"),
        ("Froest", "Forest"),
        ("Bosqe", "Bosque"),
        ("Clouds", "Cloud"),
        ("No forest", "Non-Forest"),
        ("paramo", "páramo"),
        ("ano", "año"),
        ("pÃ¡ramo", "páramo"),
        ("p├íramo", "páramo"),
        ("p\ufffdramo", "páramo"),
        ("Bosque >50%", "Bosque <50%"),
        ("Clase 1.2", "Clase 12"),
        ("Manglar degredado", "Manglar degradado"),
    ],
)
def test_what_is_easily_mistaken_looks_alike(name: str, other: str) -> None:
    assert looks_like(name, other)
    assert looks_like(other, name)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Clase 1", "Clase 2"),
        ("Bosque >50%", "Bosque >70%"),
        ("Clase A", "Clase B"),
        ("Bosque I", "Bosque II"),
        ("Bosque", "Bosque seco"),
        ("Forest", "Non-Forest"),
        ("Palma", "Pasto"),
        ("Maíz", "Maní"),
        ("1", "2"),
        ("वन", "वाना"),
        ("oil palm", "Oil-Palm"),
    ],
)
def test_other_classes_and_spellings_of_one_do_not(name: str, other: str) -> None:
    assert not looks_like(name, other)
    assert not looks_like(other, name)


def test_text_that_was_not_misread_is_not_repaired() -> None:
    assert repaired("Bosque húmedo") == repaired("forest") == repaired("城市") == ""
    assert repaired("cañaveral".encode().decode("latin-1")) == "cañaveral"


def told(codes: dict[str, int], given: dict[str, int]) -> list[str]:
    return [str(notice) for notice in class_notices(codes, given)]


def test_a_new_class_is_told_with_those_that_it_looks_like() -> None:
    (sentence,) = told({"Forrest": 8, "páramo": 7}, {"páramo": 7})
    assert "Forrest is new and has the code 8" in sentence
    assert "much like Forest," in sentence
    (sentence,) = told({"pÃ¡ramo": 8}, {"páramo": 7})
    assert "pÃ¡ramo, with the code 8, seems to be páramo, read in the wrong encoding" in sentence


def test_of_new_classes_only_those_that_more_than_signs_tell_apart_are_told() -> None:
    assert told({"Bosque >50%": 7, "Bosque <50%": 8}, {}) == []
    (sentence,) = told({"Bosque": 7, "Bosqe": 8}, {})
    assert "The new class Bosqe is much like Bosque, another new one" in sentence


def test_a_class_of_earlier_months_is_not_told_again() -> None:
    assert told({"Forrest": 8}, {"Forrest": 8}) == []


def test_a_class_that_an_earlier_rule_gave_two_codes_is_told() -> None:
    given = {"páramo": 7, "pa\u0301ramo": 9}
    (sentence,) = told({"Páramo": 7}, given)
    assert "this map has 7, and the maps that have 9 instead" in sentence


def test_colours_that_repeat_are_told() -> None:
    codes = {f"class {code:03}": code for code in range(7, LAST_COLOUR + 1)}
    assert told(codes, codes) == []
    codes["one more"] = LAST_COLOUR + 1
    (sentence,) = told(codes, codes)
    assert f"only {LAST_COLOUR + 1} colours" in sentence


def test_spellings_that_are_merged_are_told_with_their_class() -> None:
    codes = {"forest": 0, "Oil palm": 7, "OilPalm": 7, "oil-palm": 7}
    (told,) = describe_merged(codes, {0: "Forest", 7: "Oil palm"})
    assert told.startswith("The labels 'Oil palm', 'OilPalm', 'oil-palm' are one class, Oil palm: ")
