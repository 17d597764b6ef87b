"""Areas and accuracies, estimated from the labels that people gave to the points of a sample."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import geopandas
import pandas
from prefect.logging import get_run_logger
from pydantic_settings import BaseSettings
from rasterio.errors import RasterioIOError
from sqlalchemy import Connection, func, update
from upath import UPath

from landcover.accuracy.areas import ALL, COLUMNS, Areas, areas_of_sample, areas_table
from landcover.accuracy.labels import (
    Answers,
    Vocabulary,
    add_labels,
    check_apart,
    count_disagreements,
    read_answers,
    settle,
)
from landcover.accuracy.sample_files import Sample, read_key
from landcover.accuracy.strata import Of
from landcover.classes import FIXED_CODES, label_key, names_in_tags
from landcover.errors import LandcoverError, SettingsError
from landcover.files import (
    absolute,
    expanded,
    failure_of,
    fetch,
    scratch,
    sha256,
)
from landcover.geometry import to_lonlat
from landcover.imagery.images import open_image
from landcover.period import Period
from landcover.publishing import publish
from tasks.access.blocks import Blocks
from tasks.access.settings import DeforestationSettings, ReportSettings
from tasks.access.tables import (
    DETAILS,
    ESTIMATES,
    area_estimates,
    deforestation_records,
    names_of,
    raster_predictions,
    recorded,
    replace_row,
)
from tasks.artifacts import show_areas
from tasks.records import load_classes, path_of_map, recording
from tasks.reference_sample import file_of, lock_of, work_name
from tasks.retries import io_task
from tasks.run import Described, Places, Run, open_alone, prepare_run

NO_LABELS = pandas.DataFrame(
    {"id": pandas.Series(dtype="int64"), "reference": pandas.Series(dtype="string"),
     "left_out": pandas.Series(dtype="string")}
)  # fmt: skip


@dataclass(frozen=True)
class Taken:
    """What came of a file of labels; as text, the line that a person reads."""

    file: str
    """Where it is."""
    column: str
    """Where its labels stand."""
    points: int
    """How many points it names."""
    new: int
    """How many of them had no label before."""
    changed: int
    """How many had another."""
    disagreed: int
    """On how many its answers differ."""
    all: int
    """How many points have a label now."""

    def __str__(self) -> str:
        """Return the line that a person reads."""
        return (
            f"Labels of {self.points:,} points are taken from the column {self.column} of "
            f"{self.file}: {self.new:,} are new, {self.changed:,} are other than before, on "
            f"{self.disagreed:,} answers differ; {self.all:,} points are labelled now."
        )


def open_estimates(
    period: Period,
    of: Of,
    other_map: Period | None,
    blocks: Blocks,
    needs: Sequence[type[BaseSettings]] = (),
) -> AbstractContextManager[Run]:
    """Open a run that estimates areas, with a work folder of its own.

    It keeps others from running the month, or the record, whose page it writes.

    Args:
        period: the month of the map, or the last of the period.
        of: what the sample is of.
        other_map: the month whose map is judged in place of the sample's, if any.
        blocks: the names of the blocks with the credentials of database and bucket.
        needs: the groups of settings that it reads beside those that every run reads.

    Raises:
        SettingsError: if a setting is malformed, or credentials are refused.
        LandcoverError: if a place cannot be written, or another run is at work.
        TransientError: if database or bucket cannot be reached.
    """
    run = prepare_run(period, blocks, needs).working_in(work_name("areas", of, period))
    written = _written(run, of, other_map)
    places = Places(
        run.files.work,
        names_of(ESTIMATES),
        (file_of(run, "labels", of), *written),
        (Described(area_estimates.name, _name_of(written[-1], ALL), written),),
    )
    return open_alone(run, lock_of(run, of), places)


@io_task("take labels", "take labels {run}")
def take_labels(
    run: Run, of: Of, labels: str, label_column: str | None = None, since: str | None = None
) -> Taken:
    """Take in a file of labels. Of one that is refused nothing is kept, and nothing else is lost.

    Args:
        run: of the month.
        of: what the sample is of.
        labels: the file, on this machine or in the bucket.
        label_column: where in it the labels stand; found out if None.
        since: of loss, the first month of the period that is meant; that of the sample if None.

    Raises:
        SettingsError: if there is no such file or column, or the sample's period begins otherwise.
        LandcoverError: if there is no sample, the map is not the one that it was drawn from, or the
            file is refused.
        TransientError: if database or bucket cannot be reached.
    """
    sample, final = find_sample(run, of), file_of(run, "labels", of)
    first = sample.design["from"]
    if since not in (None, first):
        raise SettingsError(
            f"--from is {since}, but the sample that was drawn up to {run} begins with {first}: "
            "write that month, or leave --from out."
        )
    name, bar, layer = labels.partition("|")
    path = UPath(expanded(name))
    with run.storage(path), scratch(run.files.work) as folder:
        if not path.is_file():
            raise SettingsError(f"--labels names a file that is not there: {labels}.")
        (here,) = fetch([path], folder)
        answers = read_answers(f"{here}{bar}{layer}", label_column, labels)
        _check_training(run, answers)
        settled = settle(answers, sample.points, _vocabulary(run, sample))
        settled["file"] = path.name
        every, new, changed = add_labels(read_taken(final, sample), settled)
        built = folder / final.name
        places = sample.points[["id", "lon", "lat"]]
        every.merge(places, on="id").to_parquet(built, index=False)
        publish(built, final)
    taken = Taken(
        file=labels,
        column=answers.column,
        points=len(settled),
        new=new,
        changed=changed,
        disagreed=count_disagreements(answers),
        all=int(every["reference"].notna().sum()),
    )
    get_run_logger().info("%s", taken)
    return taken


def find_sample(run: Run, of: Of) -> Sample:
    """Return a sample whose map is still the one that it was drawn from.

    Args:
        run: of the month.
        of: what the sample is of.

    Raises:
        LandcoverError: if there is none, or the map was made again since.
        TransientError: if database or bucket cannot be reached.
    """
    path = file_of(run, "sample_key", of)
    again = f"python flows/draw_sample.py --year {run.period.year} --month {run.period.month}"
    with run.storage(path):
        if not path.exists():
            raise LandcoverError(
                f"No sample of the {of} of {run} was drawn ({absolute(path)} is not there): draw "
                f"it first, with {again} --of {of}."
            )
        sample = read_key(path)
    digest = _digest_of_map(run, of)
    if digest != sample.design["map"]["sha256"]:
        raise LandcoverError(
            f"The map of {run} was made again since the sample {absolute(path)} was drawn from it, "
            f"and is another one: move the sample's files and {file_of(run, 'labels', of).name} "
            f"away, then draw points of the map that is there now, with {again} --of {of}."
        )
    return sample


def _digest_of_map(run: Run, of: Of) -> object:
    """Return the SHA-256 of a map or a record, as its row tells; that of its file if none does."""
    table, path = (
        (raster_predictions, run.files.map)
        if of == "prediction"
        else (deforestation_records, run.files.record["deforestation"])
    )
    with run.tables(reading=True) as connection:
        told = recorded(connection, table, path.name).get("sha256")
    if told:
        return told
    with run.storage(path):
        return sha256(path) if path.exists() else None


def read_taken(path: UPath, sample: Sample) -> pandas.DataFrame:
    """Return the labels that were taken in before.

    Args:
        path: of their file; it may not be there.
        sample: that they are of.

    Returns:
        `id`, `reference`, `left_out` and `file`, one row a point.

    Raises:
        LandcoverError: if they are of another sample.
    """
    if not path.exists():
        return NO_LABELS
    taken = pandas.read_parquet(BytesIO(path.read_bytes()))
    both = taken.merge(sample.points, on=["id", "lon", "lat"])
    if len(both) < len(taken):
        raise LandcoverError(
            f"{absolute(path)} holds labels of another sample than the one that is there: move it "
            "away, or put the files of its sample back."
        )
    return taken.drop(columns=["lon", "lat"])


def _check_training(run: Run, answers: Answers) -> None:
    """Make sure that labels are not those of the polygons that the month's model learnt from."""
    path = run.files.samples
    with run.storage(path):
        if not path.exists():
            get_run_logger().info(
                "%s is not there, so it is not known whether points lie in training polygons", path
            )
            return
        samples = geopandas.read_parquet(
            BytesIO(path.read_bytes()), columns=["polygon_id", "geometry"]
        )
    check_apart(answers, samples)


def _vocabulary(run: Run, sample: Sample) -> Vocabulary:
    """Return what labels of a sample may say."""
    unclear = run.settings[DeforestationSettings].unclear_classes
    classes = tuple(sample.design["classes"])
    if sample.design["of"] == "deforestation":
        return Vocabulary(classes, {}, unclear)
    hidden = {label_key(name) for name in unclear}
    # The model may never have been shown a class that people find.
    more = [name for name in FIXED_CODES if name not in classes and label_key(name) not in hidden]
    codes = {code: name for name, code in load_classes.fn(run).codes.items()}
    codes |= {code: name for name, code in FIXED_CODES.items()}
    every = (*classes, *more)
    known = {code: name for code, name in codes.items() if name in (*every, *unclear)}
    return Vocabulary(every, known, unclear)


@io_task("estimate areas", "estimate areas {run}")
def record_areas(
    run: Run, of: Of, other_map: Period | None, taken: Taken, made_by: Mapping[str, object]
) -> Areas:
    """Estimate areas from all labels that were taken in; publish, record and show them.

    Args:
        run: of the month.
        of: what the sample is of.
        other_map: the month whose map is judged in place of the sample's, if any.
        taken: the file that came last.
        made_by: command, code version, flow run.

    Raises:
        LandcoverError: if a stratum has no labelled point, the other month has no map, or another
            run has begun while the database was away.
        TransientError: if database or bucket cannot be reached.
    """
    sample = find_sample(run, of)
    labels, key = file_of(run, "labels", of), file_of(run, "sample_key", of)
    with run.storage(labels):
        every, key_digest = read_taken(labels, sample), sha256(key)
    mapped = _read_classes(run, other_map, sample.points) if other_map else None
    forest = run.settings[DeforestationSettings].forest_classes
    areas = areas_of_sample(sample, every, forest, mapped)
    final = _written(run, of, other_map)[-1]
    details = {
        **areas.to_json(),
        "other_map": other_map and str(other_map),
        "sample": {"path": absolute(key), "sha256": key_digest},
        "labels": {"path": absolute(labels), "last": taken.file, "column": taken.column},
        **made_by,
    }
    with scratch(run.files.work) as folder:
        files = _build(run, of, areas, folder, final, other_map)
        details["sha256"] = sha256(files[final])
        _publish(run, of, areas, files, details, final)
    for notice in areas.notices:
        get_run_logger().warning("%s", notice)
    show_areas(f"{of}-{run}" + (f"-map-{other_map}" if other_map else ""), areas)
    return areas


def _build(
    run: Run, of: Of, areas: Areas, folder: Path, final: UPath, other_map: Period | None
) -> dict[UPath, Path]:
    """Build the table, and the page with its section if there is a page; the table comes last."""
    files = {}
    page = _page(run, of)
    if not other_map:
        with run.storage(page):
            text = page.read_text("utf-8") if page.exists() else None
        shown = text and put_areas(run, text, areas, areas.map_sha256)
        if shown:
            files[page] = folder / page.name
            files[page].write_text(shown, "utf-8")
        else:
            get_run_logger().warning(
                "%s is not there, or of an earlier version, so it does not show the estimated "
                "areas: run the month again",
                absolute(page),
            )
    files[final] = folder / final.name
    areas_table(areas.estimates).to_csv(files[final], index=False)
    return files


def _publish(
    run: Run,
    of: Of,
    areas: Areas,
    files: Mapping[UPath, Path],
    details: Mapping[str, Any],
    final: UPath,
) -> None:
    """Publish the files, and write a row for each row of the table."""
    table = areas_table(areas.estimates)
    table = table.astype(object).where(table.notna(), None)
    of_all, alone = _name_of(final, ALL), lock_of(run, of)
    with recording(run, alone, area_estimates, files, details, of_all) as connection:
        for row in table.to_dict("records"):
            values: dict[str, object] = {
                **{str(column): value for column, value in row.items()},
                "estimate_name": _name_of(final, row["class"]),
                "generated_at": func.now(),
                "year": run.period.year,
                "month": run.period.month,
                DETAILS: details,
            }
            replace_row(connection, area_estimates, values)
        _empty_others(connection, final, list(table["class"]))
    get_run_logger().info("Estimated areas written to %s", final)


def _empty_others(connection: Connection, final: UPath, classes: Sequence[str]) -> None:
    """Take the numbers from rows of classes that the table does not have any more."""
    columns = area_estimates.c
    names = [_name_of(final, name) for name in classes]
    others = columns.estimate_name.startswith(_name_of(final, ""), autoescape=True)
    connection.execute(
        update(area_estimates)
        .where(others, columns.estimate_name.not_in(names))
        .values(dict.fromkeys(COLUMNS))
    )


def _read_classes(run: Run, period: Period, points: pandas.DataFrame) -> pandas.Series:
    """Return the class of each point on the map of another month, by id; NA where it has none."""
    path = path_of_map(run.of(period))
    if path is None:
        raise LandcoverError(
            f"No map of {period} is recorded in raster_predictions, so --other_map cannot be "
            "judged: map that month first."
        )
    try:
        with run.storage(path), open_image(path) as dataset:
            lonlat = to_lonlat(dataset.crs.to_wkt())
            x, y = lonlat.transform(points["lon"], points["lat"], direction="INVERSE")
            codes = [int(values[0]) for values in dataset.sample(zip(x, y, strict=True), 1)]
            names = names_in_tags(dataset.tags(1))
    except RasterioIOError as error:
        failure = failure_of(path)
        raise failure(
            f"The map of {period}, which --other_map names, cannot be read ({error}): put it back, "
            "or map that month again."
        ) from error
    return pandas.Series(codes, points["id"]).map(names)


def with_areas(run: Run, of: Of, page: str, map_sha256: str) -> str:
    """Return a page with what was estimated of its month, if anything was.

    Args:
        run: of the month.
        of: what the page is about.
        page: as it was rendered.
        map_sha256: of the map that it is about.

    Raises:
        TransientError: if the database cannot be reached.
    """
    name = _name_of(_written(run, of)[-1], ALL)
    with run.tables(reading=True) as connection:
        details = recorded(connection, area_estimates, name)
    if not details:
        return page
    try:
        areas = Areas.from_json(details)
    except KeyError as error:
        get_run_logger().warning(
            "The row %s of area_estimates was written by another version (it lacks %s), so the "
            "page does not show it: take the labels in again",
            name,
            error,
        )
        return page
    return put_areas(run, page, areas, map_sha256) or page


def put_areas(run: Run, page: str, areas: Areas, map_sha256: str) -> str | None:
    """Return a page with a section about areas; None where it has no place for one.

    Args:
        run: whose language.
        page: as it was rendered.
        areas: what a sample says.
        map_sha256: of the map that the page is about.
    """
    # Here, because matplotlib comes with it, for which --help would wait.
    from landcover.report.areas import section_of, with_section

    language = run.settings[ReportSettings].report_language
    return with_section(page, section_of(areas, map_sha256, language))


def files_of_estimate(run: Run, of: Of, other_map: Period | None) -> dict[str, UPath]:
    """Return where people find what was estimated, by what it is.

    Args:
        run: of the month.
        of: what the sample is of.
        other_map: the month whose map is judged in place of the sample's, if any.
    """
    *pages, table = _written(run, of, other_map)
    return {
        "areas": table,
        **dict.fromkeys(["report"] if pages else [], _page(run, of)),
        "labels": file_of(run, "labels", of),
    }


def _page(run: Run, of: Of) -> UPath:
    return run.files.report if of == "prediction" else run.files.record["record_page"]


def _written(run: Run, of: Of, other_map: Period | None = None) -> tuple[UPath, ...]:
    """Return what is published when areas are recorded: the table that rows describe last."""
    table = file_of(run, "areas", of)
    if other_map:
        return (table.with_stem(f"{table.stem}_map_{other_map.key}"),)
    return _page(run, of), table


def _name_of(table: UPath, name: str) -> str:
    return f"{table.name}: {name}"
