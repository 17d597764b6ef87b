"""Labels that people gave to the points of a reference sample, read back from their tools.

Collect Earth Online's sample and plot downloads, the GeoPackage of QGIS or of its plugin AcATaMa,
and a table of ids and labels are understood. What a file says is taken at its word or refused: no
label is guessed.
"""

import csv
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO

import geopandas
import numpy as np
import pandas
import pyogrio
import shapely
from pyogrio.errors import DataSourceError
from pyproj import Geod

from landcover.classes import label_key
from landcover.errors import LandcoverError, SettingsError
from landcover.geometry import LONLAT, hulls_of
from landcover.listing import listed
from landcover.text import as_text, clean
from landcover.vectors import VectorFile, has_area, read_features, vector_file

SETTING = "--labels"

TABLES = {".csv", ".tsv", ".txt"}
SHEETS = {".xlsx", ".xls", ".ods"}
SEPARATORS = ",;\t"

# Names of columns without their case, the first that is there counts.
IDS = ("plotid", "plot_id", "id", "sample_id")
LONGITUDES = ("lon", "center_lon", "longitude")
LATITUDES = ("lat", "center_lat", "latitude")
FLAGS = ("flagged",)
# Whose label it is, or to which of a plot's points: where there is one, an id may come repeatedly.
REPEATED = ("email", "user", "interpreter", "sampleid")

# Of the downloads of Collect Earth Online and of AcATaMa's layer, beside answers and labels.
OTHERS = {
    *(*IDS, *LONGITUDES, *LATITUDES, *FLAGS, *REPEATED),
    *("fid", "sample_internal_id", "flagged_reason", "confidence", "collection_time"),
    *("analysis_duration", "imagery_title", "imagery_attributions", "sample_geom", "plot_geom"),
    *("shape", "size_m", "sample_points", "common_securewatch_date", "total_securewatch_dates"),
    *("is labeled", "is labeled as", "thematic class", "in thematic map as", "match", "label id"),
}
# What Collect Earth Online puts before the columns that it was given with the points.
GIVEN = ("pl_", "smpl_")

LABEL = "label"

# What AcATaMa and Collect Earth Online's plot download are known by.
_OF_PLOTS = "sample_points"

# Metres: points within a plot may lie so far from its centre, the point that was drawn.
NEAR = 200

# So many ids or labels are named in a sentence.
NAMED = 5

TRUE = {"true", "t", "yes", "y", "1"}

# Why a point is left out.
FLAGGED, UNLABELLED, UNCLEAR, TIED = "flagged", "unlabelled", "unclear", "tied"


@dataclass(frozen=True)
class Answers:
    """What a file says, before it is judged."""

    rows: pandas.DataFrame
    """One row an answer: `id`, `label` (text, NA where none), `flagged`, `lon` and `lat` (degrees,
    WGS 84; NaN where the file does not tell them)."""
    repeated: bool
    """Whether a point may have several answers: of several interpreters, or points of a plot."""
    column: str
    """Where the labels stand."""
    where: str
    """The file, for messages."""


@dataclass(frozen=True)
class Vocabulary:
    """What labels may say."""

    classes: tuple[str, ...]
    """The names of the classes."""
    codes: Mapping[int, str]
    """The class of each number that may stand for one."""
    unclear: tuple[str, ...]
    """Names of what hides the ground: such a label says that nothing can be said."""

    def meanings(self, labels: Iterable[str]) -> dict[str, str | None]:
        """Return the class that each label names, in any spelling; None where it names none."""
        known = {label_key(name): name for name in (*self.classes, *self.unclear)}
        numbers = {str(code): name for code, name in self.codes.items()}
        return {
            label: known.get(label_key(label), numbers.get(label)) for label in sorted(set(labels))
        }

    def __str__(self) -> str:
        """Return the classes, for messages."""
        codes = {name: code for code, name in self.codes.items()}
        named = (f"{name} ({codes[name]})" if name in codes else name for name in self.classes)
        return ", ".join(named)


def read_answers(text: str, label_column: str | None = None, name: str = "") -> Answers:
    """Read what people have said of points.

    Args:
        text: the path of a CSV (commas, semicolons or tabs; UTF-8, UTF-16 or Latin-1), or of a
            vector file, with `|layername=...` where it has several layers.
        label_column: where the labels stand; found out if None.
        name: of the file, for messages, where it is a copy.

    Raises:
        SettingsError: if the file is not there or is not such a file, or has no such column.
        LandcoverError: if it is empty, holds training polygons, has no ids, or does not tell which
            of its columns holds the labels.
    """
    file, where = vector_file(text), name or text
    if file.suffix in TABLES | SHEETS:
        table, places = _read_table(file, where), None
    else:
        table, places = _read_layer(file, where)
    if table.empty:
        raise LandcoverError(f"{where} has no labels: it is empty.")
    _check_columns(table, where)
    names = {str(column).casefold(): str(column) for column in table.columns}
    ids = _read_ids(table, names, where)
    if places is None:
        places = pandas.DataFrame(
            {
                "lon": _read_degrees(table, _first(names, LONGITUDES)),
                "lat": _read_degrees(table, _first(names, LATITUDES)),
            }
        )
    flags = _first(names, FLAGS)
    flagged = as_text(table[flags], where).str.lower().isin(TRUE) if flags else False
    labels, column = _read_labels(table, names, label_column, where)
    rows = pandas.DataFrame({"id": ids, "flagged": flagged, **places}).join(labels)
    return Answers(rows, any(one in names for one in REPEATED), column, where)


def _read_layer(file: VectorFile, where: str) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """Return the columns of a layer of points, and the places of these."""
    _check_one_layer(file, where)
    wanted = read_features(file, SETTING).columns
    features = read_features(file, SETTING, wanted)
    rows = features.rows
    if has_area(rows.geometry).any():
        raise LandcoverError(
            f"{where} holds polygons, not points of the sample: training and held-out polygons "
            "cannot judge the map that was made from them; label the points that "
            "flows/draw_sample.py drew."
        )
    points = rows.geometry.to_crs(LONLAT).representative_point()
    places = pandas.DataFrame({"lon": points.x, "lat": points.y}).reset_index(drop=True)
    table = pandas.DataFrame(rows.drop(columns=rows.geometry.name)).reset_index(drop=True)
    return table, places


def _check_one_layer(file: VectorFile, where: str) -> None:
    """Make sure that it is known which layer of points is meant."""
    try:
        layers = pyogrio.list_layers(file.path) if file.suffix == ".gpkg" else []
    except DataSourceError:
        return  # the reader says why
    names = [str(name) for name, kind in layers if kind is not None]
    if len(names) > 1 and not file.options:
        raise SettingsError(
            f"{SETTING} should be one layer, but {where} holds {listed(names, 8)}: name the one "
            f"that was labelled, such as {where}|layername={names[0]}."
        )


def _read_table(file: VectorFile, where: str) -> pandas.DataFrame:
    """Return a table of text, whatever its encoding and its separator."""
    try:
        text = _decoded(file.path.read_bytes())
    except FileNotFoundError as error:
        raise SettingsError(f"{SETTING} names a file that is not there: {where}.") from error
    if "\0" in text or file.suffix in SHEETS:
        raise SettingsError(
            f"{SETTING} should be a table or a vector file, but {where} is not text: save a "
            "spreadsheet as CSV."
        )
    first = text.partition("\n")[0]
    separator = max(SEPARATORS, key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))
    lines = [line for line in csv.reader(StringIO(text), delimiter=separator) if any(line)]
    if not lines:
        raise LandcoverError(f"{where} has no labels: it is empty.")
    header, *rows = lines
    for number, row in enumerate(rows, 2):
        if len(row) > len(header) and any(row[len(header) :]):
            raise LandcoverError(
                f"Row {number} of {where} has {len(row)} values, but there are {len(header)} "
                "columns: put values that hold a comma in quotation marks."
            )
    filled = [[*row, *[""] * len(header)][: len(header)] for row in rows]
    return pandas.DataFrame(filled, columns=[clean(name) for name in header])


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Windows' own Latin-1, with a character for all but five bytes.
        return content.decode("cp1252", "replace")


def _check_columns(table: pandas.DataFrame, where: str) -> None:
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise LandcoverError(f"{where} has two columns {twice[0]!r}: rename one.")
    if {"polygon_id", "class_label"} <= set(table.columns):
        raise LandcoverError(
            f"{where} holds training data (polygon_id, class_label), which cannot judge the map "
            "that was made from it: label the points that flows/draw_sample.py drew."
        )


def _first(names: Mapping[str, str], wanted: Sequence[str]) -> str | None:
    return next((names[name] for name in wanted if name in names), None)


def _read_ids(table: pandas.DataFrame, names: Mapping[str, str], where: str) -> pandas.Series:
    column = _first(names, IDS)
    if column is None:
        raise LandcoverError(
            f"{where} has no column of the points' ids ({listed(IDS[:3], 3)}), but "
            f"{listed(list(table.columns), 8)}: name the one that has them `id`."
        )
    texts = as_text(table[column], where)
    are_ids = texts.str.fullmatch("[0-9]{1,18}").fillna(value=False)
    wrong = sorted({*texts[~are_ids].fillna("nothing")})
    if wrong:
        raise LandcoverError(
            f"The column {column} of {where} should hold the ids of points, whole numbers, but has "
            f"{listed(wrong, NAMED)}."
        )
    return texts.astype("int64")


def _read_degrees(table: pandas.DataFrame, column: str | None) -> pandas.Series:
    if column is None:
        return pandas.Series(np.nan, index=table.index)
    # As a spreadsheet set to Spanish writes decimals.
    return pandas.to_numeric(table[column].astype(str).str.replace(",", "."), errors="coerce")


def _read_labels(
    table: pandas.DataFrame, names: Mapping[str, str], wanted: str | None, where: str
) -> tuple[pandas.DataFrame, str]:
    """Return the labels, a row an answer, with the index of the table; and where they stand."""
    if _OF_PLOTS in names:
        return _read_shares(table, wanted, where)
    column = _label_column(table, names, wanted, where)
    return pandas.DataFrame({LABEL: as_text(table[column], where)}), column


def _label_column(
    table: pandas.DataFrame, names: Mapping[str, str], wanted: str | None, where: str
) -> str:
    if wanted:
        return _named(wanted, names, where)
    if LABEL in names:
        return names[LABEL]
    found = [
        column
        for name, column in names.items()
        if name not in OTHERS
        and not name.startswith(GIVEN)
        and as_text(table[column], where).notna().any()
    ]
    return _only(found, "column", where)


def _named(wanted: str, names: Mapping[str, str], where: str) -> str:
    found = names.get(clean(wanted).casefold())
    if found is None:
        raise SettingsError(
            f"--label_column is {wanted}, but {where} has no such column, only "
            f"{listed(list(names.values()), 12)}."
        )
    return found


def _only(found: Sequence[str], what: str, where: str) -> str:
    if len(found) != 1:
        there = listed(found, 8) or "none that holds text"
        raise LandcoverError(
            f"{where} does not tell which {what} holds the labels ({there}): name it with "
            "--label_column."
        )
    return found[0]


def _read_shares(
    table: pandas.DataFrame, wanted: str | None, where: str
) -> tuple[pandas.DataFrame, str]:
    """Return the answer to which most of a plot was given, from a column for each answer.

    Collect Earth Online calls them `question:answer`; they hold percentages. Where several are the
    largest, each is an answer.
    """
    questions: dict[str, dict[str, str]] = {}
    for column in table.columns:
        question, colon, answer = str(column).rpartition(":")
        if colon and not column.startswith(GIVEN):
            questions.setdefault(question, {})[column] = answer
    named = {question.casefold(): question for question in questions}
    question = _named(wanted, named, where) if wanted else _only([*questions], "question", where)
    answers = questions[question]
    shares = table[[*answers]].apply(pandas.to_numeric, errors="coerce").fillna(0)
    largest = shares.eq(shares.max(axis=1), axis=0) & shares.gt(0)
    long = largest.rename(columns=answers).stack()
    given = long[long].reset_index(level=1)["level_1"].rename(LABEL)
    # A plot without an answer keeps its row.
    return pandas.DataFrame({LABEL: given.astype("string")}), question


def settle(answers: Answers, points: pandas.DataFrame, words: Vocabulary) -> pandas.DataFrame:
    """Decide what each point is, or why it is left out.

    The majority of a point's answers counts, and where two are as frequent it is left out, as it is
    where all its answers are flagged, unlabelled or unclear.

    Args:
        answers: of people.
        points: of the sample, with `id`, `lon` and `lat` (degrees, WGS 84).
        words: what labels may say.

    Returns:
        One row a point that the file names, with `id`, `reference` (a class, or NA) and `left_out`
        (why, or NA).

    Raises:
        LandcoverError: if an id was not drawn, or lies elsewhere than where it was drawn; if a
            label names no class; if a point has two labels in a file of one label a point; or if
            nothing is labelled.
    """
    rows = answers.rows
    _check_drawn(answers, points)
    meanings = words.meanings(rows[LABEL].dropna())
    unknown = [label for label, meaning in meanings.items() if meaning is None]
    if unknown:
        raise LandcoverError(
            f"The column {answers.column} of {answers.where} has labels that name no class "
            f"({listed(unknown, NAMED)}): the classes are {words}. Nothing of the file was taken "
            "in."
        )
    if not meanings:
        raise LandcoverError(
            f"No point is labelled in the column {answers.column} of {answers.where}; another "
            "column may be named with --label_column."
        )
    said = rows.assign(reference=rows[LABEL].map(meanings, na_action="ignore"))
    if not answers.repeated:
        _check_once(said, answers.where)
    settled = [
        {"id": point, **_decide(given, words.unclear)} for point, given in said.groupby("id")
    ]
    return pandas.DataFrame(settled).astype({"reference": "string", "left_out": "string"})


def _decide(given: pandas.DataFrame, unclear: Collection[str]) -> dict[str, object]:
    """Return what one point is, or why it is left out."""
    unflagged = given[~given["flagged"]]
    if unflagged.empty:
        return {"reference": None, "left_out": FLAGGED}
    # `value_counts` puts the most frequent first.
    counts = unflagged["reference"].dropna().value_counts()
    if counts.empty:
        return {"reference": None, "left_out": UNLABELLED}
    if len(counts) > 1 and counts.iloc[0] == counts.iloc[1]:
        return {"reference": None, "left_out": TIED}
    if counts.index[0] in unclear:
        return {"reference": None, "left_out": UNCLEAR}
    return {"reference": counts.index[0], "left_out": None}


def count_disagreements(answers: Answers) -> int:
    """Return how many points have answers that differ, beside those that are flagged."""
    given = answers.rows[~answers.rows["flagged"]].dropna(subset=LABEL)
    spelled = given.assign(label=given[LABEL].map(label_key))
    return int((spelled.groupby("id")[LABEL].nunique() > 1).sum())


def _check_drawn(answers: Answers, points: pandas.DataFrame) -> None:
    """Make sure that answers are of points of this sample."""
    rows = answers.rows
    strange = sorted(set(rows["id"]) - set(points["id"]))
    if strange:
        raise LandcoverError(
            f"{answers.where} has ids that were not drawn ({listed(strange, NAMED)}), so it is of "
            "another sample: name the month that its points were drawn for, and whether they are "
            "of the prediction or of deforestation."
        )
    placed = rows.dropna(subset=["lon", "lat"]).merge(points, on="id", suffixes=("", "_drawn"))
    lon, lat, lon_drawn, lat_drawn = (
        placed[name].to_numpy(float) for name in ("lon", "lat", "lon_drawn", "lat_drawn")
    )
    _, _, metres = Geod(ellps="WGS84").inv(lon, lat, lon_drawn, lat_drawn)
    far = placed[~(np.asarray(metres) <= NEAR)]
    if len(far):
        one = far.iloc[0]
        raise LandcoverError(
            f"The point {one['id']} of {answers.where} lies at {one['lon']:.5f}, {one['lat']:.5f}, "
            f"but was drawn at {one['lon_drawn']:.5f}, {one['lat_drawn']:.5f}: these are the "
            "labels of another sample, such as another month's."
        )


def _check_once(said: pandas.DataFrame, where: str) -> None:
    """Make sure that no point has two labels, where nothing tells whose they are."""
    labels = said.dropna(subset="reference").groupby("id")["reference"].unique()
    twice = labels[labels.str.len() > 1]
    if len(twice):
        raise LandcoverError(
            f"The point {twice.index[0]} has two labels in {where} ({listed(twice.iloc[0], 2)}): "
            "leave the right one, or name whose each is in a column `interpreter`."
        )


def check_apart(answers: Answers, samples: geopandas.GeoDataFrame) -> None:
    """Make sure that labels are not those of training or held-out polygons.

    Args:
        answers: of people; where their file tells no places, nothing is found.
        samples: the pixels that the model was trained on: points with `polygon_id`.

    Raises:
        LandcoverError: if most of the points lie in the polygons, from which none was drawn.
    """
    placed = answers.rows.dropna(subset=["lon", "lat"])
    places = geopandas.points_from_xy(placed["lon"], placed["lat"], crs=LONLAT).to_crs(samples.crs)
    _, hulls = hulls_of(samples.geometry.get_coordinates().to_numpy(), samples["polygon_id"])
    # The hull of pixels' centres lacks half a pixel on each side; that of one pixel is a point.
    outlines = shapely.STRtree(shapely.buffer(hulls, _pixel_of(samples) / 2))
    inside = len(set(outlines.query(np.asarray(places), "intersects")[0].tolist()))
    if inside > len(placed) / 2:
        raise LandcoverError(
            f"{inside} of the {len(placed)} points of {answers.where} lie in training polygons, "
            "which cannot judge the map that was made from them: label the points that "
            "flows/draw_sample.py drew."
        )


def _pixel_of(samples: geopandas.GeoDataFrame) -> float:
    """Return the size of the pixels that were sampled: the smallest distance of two columns."""
    steps = np.diff(np.unique(samples.geometry.x.to_numpy().round(6)))
    return float(steps.min()) if len(steps) else 0.0


def add_labels(
    taken: pandas.DataFrame, settled: pandas.DataFrame
) -> tuple[pandas.DataFrame, int, int]:
    """Add the labels of a file to those that were taken in before.

    A point without an answer keeps the one that it has.

    Args:
        taken: as `settle` returns them, of earlier files.
        settled: those of the file.

    Returns:
        All of them by id; how many points are new, and how many have another label than before.
    """
    had = taken.set_index("id")
    new = settled.set_index("id")
    silent = new.index.isin(had.index) & (new["left_out"] == UNLABELLED).fillna(value=False)
    new = new[~silent]
    both = new.index.intersection(had.index)
    columns = ["reference", "left_out"]
    changed = (new.loc[both, columns].fillna("") != had.loc[both, columns].fillna("")).any(axis=1)
    every = pandas.concat([had.drop(both), new]).sort_index().reset_index()
    return every, len(new) - len(both), int(changed.sum())
