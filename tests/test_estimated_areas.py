"""What a labelled sample says: its table, its words, and the pages' section about it."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from landcover.accuracy.areas import Areas, areas_of_sample, areas_table
from landcover.accuracy.sample_files import Sample
from landcover.report.areas import BEGIN, END, section_of, with_section

CLASSES = ["Forest", "Non-Forest"]


def sample(
    *points: tuple[str, str, str | None], of: str = "prediction"
) -> tuple[Sample, pd.DataFrame]:
    """A sample of two strata: the stratum, the map's class, and what people said of each point."""
    rows = pd.DataFrame(points, columns=["stratum", "mapped", "reference"])
    rows.insert(0, "id", range(1, len(rows) + 1))
    names = list(dict.fromkeys(rows["stratum"]))
    design = {
        "of": of,
        "period": "2025-06",
        "from": "2025-01" if of == "deforestation" else None,
        "to": "2025-06" if of == "deforestation" else None,
        "map": {"path": "map.tif", "sha256": "ab"},
        "classes": list(dict.fromkeys(rows["mapped"])),
        "strata": [{"name": name, "hectares": 500.0, "pixels": 100_000} for name in names],
        "outside_ha": {"Cloud": 12.5},
    }
    labels = rows.loc[rows["reference"].notna(), ["id", "reference"]].assign(left_out=None)
    return Sample(rows.drop(columns="reference"), design), labels


def estimated(*points: tuple[str, str, str | None], of: str = "prediction") -> Areas:
    return areas_of_sample(*sample(*points, of=of), ["Forest"])


F, N = CLASSES
MIXED = (*[(F, F, F)] * 9, (F, F, N), *[(N, N, N)] * 8, *[(N, N, F)] * 2)


def test_the_table_has_a_row_a_class_and_one_of_all():
    table = areas_table(estimated(*MIXED).estimates).set_index("class")
    assert list(table.index) == [*CLASSES, "all"]
    assert table.loc[F, ["mapped_ha", "area_ha", "users"]].tolist() == [500.0, 550.0, 0.9]
    assert table.loc["all", "users"] == 0.85
    assert table.loc["all", ["mapped_ha", "area_ha"]].tolist() == [1000.0, 1000.0]
    assert table.loc["all"].isna().sum() == 3


def test_it_goes_to_json_and_comes_back():
    areas = estimated(*MIXED, (F, F, None))
    back = Areas.from_json(json.loads(json.dumps(areas.to_json())))
    assert back.to_json() == areas.to_json()
    assert areas_table(back.estimates).equals(areas_table(areas.estimates))


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ((*MIXED, (F, F, None)), ["1 of the 21 points are not labelled"]),
        ((*MIXED[:10], (N, N, N)), ["Non-Forest has a single labelled point", "All 1 points that"]),
        (MIXED, ["Only 3 of the points that are mapped as Forest"]),
        (
            [*[(F, F, F)] * 20, *[(N, N, F)] * 20, (N, N, N)],
            ["The interval of Non-Forest is wider than its area", "at most 7"],
        ),
        ([(F, F, F)] * 3 + [(N, N, N)] * 3, ["All 6 points are what the map says"]),
        (
            [(F, F, F)] * 3 + [(N, N, F)] * 3,
            ["No point was found to be Non-Forest, which covers 5"],
        ),
        ([*MIXED, *[("Water",) * 3] * 5], ["All 5 points that are mapped as Water, and no others"]),
        ([*MIXED, (F, F, "Water")], ["found to be Water, which the map gives to no point"]),
    ],
)
def test_what_a_number_does_not_say_is_said_in_words(points, said):
    notices = [str(notice) for notice in estimated(*points).notices]
    for words in said:
        assert any(words in notice for notice in notices), notices


def test_of_many_points_on_both_sides_nothing_is_said():
    many = [*[(F, F, F)] * 20, *[(F, F, N)] * 20, *[(N, N, N)] * 20, *[(N, N, F)] * 20]
    assert estimated(*many).notices == ()


def test_another_map_is_judged_by_the_same_points():
    drawn, labels = sample(*MIXED)
    truth = labels.set_index("id")["reference"]
    areas = areas_of_sample(drawn, labels, ["Forest"], truth.where(truth.index != 1))
    assert areas.estimates.overall.value == 1.0
    assert areas.points == 19
    assert "other map has no class" in str(areas.notices[0])


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "en",
            "In June 2025, Forest covered 550 ha of the 1,000 ha that were sampled, give or take ",
        ),
        ("es", "la clase Bosque cubría 550 ha de las 1.000 ha muestreadas, con un margen de ± "),
    ],
)
def test_the_section_has_a_sentence_to_quote(language, said):
    areas = estimated(*MIXED, (F, F, None))
    section = section_of(areas, "ab", language)
    assert said in section
    assert {"en": "500.0", "es": "500,0"}[language] in section


def test_loss_is_quoted_with_its_period():
    loss = (*[("loss", "loss", "loss")] * 5, ("loss", "loss", "forest"))
    forest = (*[("forest", "forest", "forest")] * 5, ("forest", "forest", "loss"))
    section = section_of(estimated(*loss, *forest, of="deforestation"), "ab", "en")
    assert "From January 2025 to June 2025, 500 ha of forest were lost, give or take" in section


def test_numbers_of_another_map_are_not_shown():
    section = section_of(estimated(*MIXED), "cd", "en")
    assert "550" not in section
    assert "the map was made again" in section


def test_the_section_is_put_into_a_page_and_put_anew():
    page = f"<main>{BEGIN}{END}<p>more</p></main>"
    areas = estimated(*MIXED)
    once = with_section(page, section_of(areas, "ab", "en"))
    assert once is not None
    assert "550" in once
    assert once.endswith("<p>more</p></main>")
    newer = section_of(replace(areas, points=7), "ab", "en")
    assert with_section(once, newer) == with_section(page, newer)
    assert with_section("<main></main>", newer) is None
