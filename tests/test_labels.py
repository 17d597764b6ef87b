"""Labels that people gave to points: each tool's file as it comes, and what is refused."""

from collections.abc import Mapping
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely

from landcover.accuracy.labels import (
    FLAGGED,
    TIED,
    UNCLEAR,
    UNLABELLED,
    Vocabulary,
    add_labels,
    check_apart,
    count_disagreements,
    read_answers,
    settle,
)
from landcover.errors import LandcoverError, SettingsError

# Where four points were drawn, kilometres apart.
POINTS = pd.DataFrame(
    {"id": [1, 2, 3, 4], "lon": [-79.4, -79.41, -79.42, -79.43], "lat": [0.1, 0.11, 0.12, 0.13]}
)
WORDS = Vocabulary(
    classes=("Forest", "Non-Forest", "Água"),
    codes={0: "Forest", 1: "Non-Forest", 2: "Cloud"},
    unclear=("Cloud", "Shadow"),
)

# As Collect Earth Online writes it: a mark of the byte order, commas, no quotation marks but where
# a value has a comma, the uploaded columns again before the questions.
CEO_HEADER = (
    "plotid,sampleid,lon,lat,email,flagged,flagged_reason,collection_time,analysis_duration,"
    "imagery_title,imagery_attributions,sample_geom,pl_plotid"
)
CEO_ROW = "{id},1,{lon},{lat},{who},{flagged},,2025-07-01 10:00,12.0 secs,Bing,,,{id}"

PLOTS_HEADER = (
    "plotid,center_lon,center_lat,shape,size_m,sample_points,email,flagged,flagged_reason,"
    "collection_time,analysis_duration,common_securewatch_date,total_securewatch_dates,pl_plotid"
)


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    return written(folder / "labels.csv", text, encoding)


def ceo(folder: Path, *answers: tuple[int, str, str, bool], questions: str = "What is it?") -> Path:
    """Write a sample download: id, interpreter, answer and whether the plot was flagged."""
    places = POINTS.set_index("id")
    rows = [
        CEO_ROW.format(
            id=point, lon=places.lon[point], lat=places.lat[point], who=who,
            flagged=str(flagged).lower(),
        )
        + f",{answer}"
        for point, who, answer, flagged in answers
    ]  # fmt: skip
    return table(folder, "\n".join([f"{CEO_HEADER},{questions}", *rows]), "utf-8-sig")


def layer(folder: Path, columns: Mapping[str, object], shapes: object = None) -> Path:
    """Write a GeoPackage of the points, or of other shapes."""
    geometry = geopandas.points_from_xy(POINTS.lon, POINTS.lat) if shapes is None else shapes
    rows = geopandas.GeoDataFrame(dict(columns), geometry=geometry, crs=4326)
    rows.to_crs(3857).to_file(folder / "labels.gpkg")
    return folder / "labels.gpkg"


def found(path: Path, label_column: str | None = None) -> dict[int, str]:
    """Return what each point of a file is, or why it is left out."""
    settled = settle(read_answers(str(path), label_column), POINTS, WORDS).set_index("id")
    return settled["reference"].fillna(settled["left_out"]).to_dict()


# --- what the tools write -------------------------------------------------------------------------


def test_a_sample_download_of_collect_earth_online_is_read_as_it_comes(tmp_path):
    path = ceo(
        tmp_path,
        (1, "ana@x.ec", "Forest", False),
        (2, "ana@x.ec", "non forest", False),
        (3, "ana@x.ec", "", True),
        (4, "ana@x.ec", "", False),
    )
    assert found(path) == {1: "Forest", 2: "Non-Forest", 3: FLAGGED, 4: UNLABELLED}


def test_of_several_interpreters_most_decide_and_a_tie_is_left_out(tmp_path):
    path = ceo(
        tmp_path,
        *((1, who, "Forest", False) for who in "ab"),
        (1, "c", "Non-Forest", False),
        *((2, who, said, False) for who, said in (("a", "Forest"), ("b", "Non-Forest"))),
        *((3, who, said, False) for who, said in (("a", "Cloud"), ("b", "Shadow"), ("c", "Cloud"))),
        (4, "a", "Forest", True),
        (4, "b", "Non-Forest", False),
    )
    assert found(path) == {1: "Forest", 2: TIED, 3: UNCLEAR, 4: "Non-Forest"}
    assert count_disagreements(read_answers(str(path))) == 3


def test_a_plot_download_is_what_most_of_the_plot_is(tmp_path):
    rows = [
        f"{point},{lon},{lat},circle,20,4,a@x.ec,false,,,,,,{point},{shares}"
        for (point, lon, lat), shares in zip(
            POINTS.itertuples(index=False),
            ("75.00,25.00,0", "0,100.00,0", "50.00,50.00,0", "0,0,0"),
            strict=True,
        )
    ]
    header = f"{PLOTS_HEADER},Cover: which?:Forest,Cover: which?:Non-Forest,Cover: which?:Cloud"
    path = table(tmp_path, "\n".join([header, *rows]), "utf-8-sig")
    assert found(path) == {1: "Forest", 2: "Non-Forest", 3: TIED, 4: UNLABELLED}
    assert found(path, "cover: which?")[1] == "Forest"


def test_of_several_questions_the_one_is_to_be_named(tmp_path):
    path = ceo(tmp_path, (1, "a", "Forest,sure", False), questions="What is it?,How sure?")
    with pytest.raises(
        LandcoverError, match=r"which column holds the labels \(What is it\?, How sure\?\): name it"
    ):
        read_answers(str(path))
    assert found(path, "what is it?") == {1: "Forest"}
    with pytest.raises(SettingsError, match=r"--label_column is class, but .* has no such column"):
        read_answers(str(path), "class")


@pytest.mark.parametrize(
    "more",
    [
        {"Label ID": [1, 2, 1, None]},
        {"Is labeled as": [0, 1, 0, None], "In thematic map as": 1, "Match": "Yes"},
    ],
)
def test_a_layer_that_acatama_wrote_is_read(tmp_path, more):
    path = layer(tmp_path, {"ID": POINTS.id, "Label": ["Forest", "FOREST", "1", None], **more})
    assert found(path) == {1: "Forest", 2: "Forest", 3: "Non-Forest", 4: UNLABELLED}


def test_numbers_are_class_codes(tmp_path):
    path = layer(tmp_path, {"id": POINTS.id, "clase": [0, 1, 2, None]})
    assert found(path) == {1: "Forest", 2: "Non-Forest", 3: UNCLEAR, 4: UNLABELLED}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_a_table_is_read_whatever_its_separator_and_its_encoding(tmp_path, separator, encoding):
    lines = ["id,label", "1,Água", '2," forest "', "", "3,"]
    text = "\r\n".join(lines).replace(",", separator)
    assert found(table(tmp_path, text, encoding)) == {1: "Água", 2: "Forest", 3: UNLABELLED}


def test_points_without_a_place_are_known_by_their_ids(tmp_path):
    places = [shapely.MultiPoint([(-79.4, 0.1)]), None, shapely.Point(-79.42, 0.12, 7), None]
    path = layer(tmp_path, {"id": [1.0, 2.0, 3.0, 4.0], "label": "Forest"}, places)
    assert found(path) == dict.fromkeys((1, 2, 3, 4), "Forest")


def test_of_several_layers_one_is_to_be_named(tmp_path):
    path = layer(tmp_path, {"id": POINTS.id, "label": "Forest"})
    geopandas.read_file(path).to_file(path, layer="again")
    with pytest.raises(SettingsError, match=r"holds labels, again: name the one that was labelled"):
        read_answers(str(path))
    assert len(read_answers(f"{path}|layername=again").rows) == 4


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no labels: it is empty"),
        ("id,label\n", "has no labels: it is empty"),
        ("id,label\n1,\n2,\n", "No point is labelled in the column label"),
        ("id,label\n1,bosque\n2,pasto\n", r"name no class \(bosque, pasto\): the classes are "),
        ("id,label\n1,bosque\n", r"Forest \(0\), Non-Forest \(1\), Água. Nothing of the file"),
        ("id,label\n1,7\n", r"name no class \(7\)"),
        ("id,label\n9,Forest\n8,Forest\n", r"ids that were not drawn \(8, 9\)"),
        ("id,label\n1,Forest\n1,Non-Forest\n", r"point 1 has two labels .*\(Forest, Non-Forest\)"),
        ("id,label\none,Forest\n", "whole numbers, but has one"),
        ("id,label\n,Forest\n", "whole numbers, but has nothing"),
        ("place,label\n1,Forest\n", r"no column of the points' ids .*but place, label"),
        ("id,Label,label\n1,Forest,Forest\n", None),
        ("id,label,label\n1,Forest,Forest\n", "two columns 'label'"),
        ("id,label\n1,Forest,dense\n", "Row 2 of .* has 3 values, but there are 2 columns"),
        ("id,lon,lat,label\n1,-78.4,0.1,Forest\n", "labels of another sample, such as another"),
        ("id,a,b\n1,Forest,Forest\n", r"which column holds the labels \(a, b\)"),
        ("polygon_id,class_label,x,y\n1,Forest,0,0\n", "holds training data"),
        ("\0\1", "is not text"),
    ],
)
def test_what_cannot_be_taken_at_its_word_is_refused(tmp_path, text, said):
    path = table(tmp_path, text)
    if said is None:
        assert found(path) == {1: "Forest"}
        return
    with pytest.raises(LandcoverError, match=said):
        found(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"--labels names a file that is not there: .*none.csv"):
        read_answers(str(tmp_path / "none.csv"))


def test_a_spreadsheet_is_to_be_saved_as_csv(tmp_path):
    (tmp_path / "labels.xlsx").write_bytes(b"PK")
    with pytest.raises(SettingsError, match="save a spreadsheet as CSV"):
        read_answers(str(tmp_path / "labels.xlsx"))


def test_polygons_are_refused(tmp_path):
    squares = [shapely.box(lon, lat, lon + 1e-3, lat + 1e-3) for _, lon, lat in POINTS.values]
    path = layer(tmp_path, {"id": POINTS.id, "label": "Forest"}, squares)
    with pytest.raises(LandcoverError, match="holds polygons, not points of the sample"):
        read_answers(str(path))


def test_points_in_training_polygons_are_refused(tmp_path):
    across, down = (part.ravel() for part in np.meshgrid(np.arange(5), np.arange(5)))
    samples = geopandas.GeoDataFrame(
        {"polygon_id": ["7"] * 25},
        geometry=geopandas.points_from_xy(-79.42 + across * 0.001, 0.12 + down * 0.001),
        crs=4326,
    )
    apart = read_answers(str(table(tmp_path, "id,label\n1,Forest\n")))
    check_apart(apart, samples)
    lines = ["id,lon,lat,label", "1,-79.4183,0.1211,Forest", "2,-79.4162,0.1239,Forest"]
    for more, refused in (([], True), (["3,-79.3,0.1,Forest", "4,-79.2,0.1,Forest"], False)):
        answers = read_answers(str(table(tmp_path, "\n".join([*lines, *more]))))
        if refused:
            with pytest.raises(
                LandcoverError, match=r"2 of the 2 points of .* lie in training pol"
            ):
                check_apart(answers, samples)
        else:
            check_apart(answers, samples)


# --- a second file --------------------------------------------------------------------------------


def test_a_second_file_adds_and_replaces_by_id(tmp_path):
    settled = [
        settle(read_answers(str(table(tmp_path, text))), POINTS, WORDS)
        for text in (
            "id,label\n1,Forest\n2,Forest\n3,Forest\n",
            "id,label\n1,\n2,Non-Forest\n3,forest\n4,Forest\n",
        )
    ]
    every, new, changed = add_labels(*settled)
    assert (new, changed) == (1, 1)
    assert list(every["id"]) == [1, 2, 3, 4]
    assert list(every["reference"]) == ["Forest", "Non-Forest", "Forest", "Forest"]
