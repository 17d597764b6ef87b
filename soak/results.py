"""What months leave behind: files, and the rows that describe them."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import rasterio
from numpy.typing import NDArray
from sqlalchemy import Connection, create_engine, text
from upath import UPath

from soak.month import CONFIDENCE, MAP, Place, check

# Of the results; work in progress is in another folder.
FOLDERS = ("prepared", "models", "predictions")

# As the rows refer to each other.
TABLES = ("ml_models", "raster_predictions")


@dataclass(frozen=True)
class Result:
    """A finished month.

    Attributes:
        codes: the map's pixels.
        confidence: and those of its confidence.
        names: of all files of the results.
    """

    codes: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    names: frozenset[str]


def result(place: Place) -> Result:
    """Read a finished month, and check that there is a row for it, and that rows are true."""
    check_described(place)
    rows = recorded(place)
    check([name for name, *_ in rows] == [MAP], f"the rows are {rows}")
    return Result(
        codes=read(place.maps / MAP, place.folder),
        confidence=read(place.maps / CONFIDENCE, place.folder),
        names=frozenset(files(place)),
    )


def read(path: UPath, folder: Path) -> NDArray[np.uint8]:
    """Read all pixels of a map, through a copy in a folder on this machine."""
    copy = folder / "copy.tif"
    copy.write_bytes(path.read_bytes())
    with rasterio.open(copy) as dataset:
        codes: NDArray[np.uint8] = dataset.read(1)
    return codes


def check_same(found: Result, wanted: Result) -> None:
    """Make sure that two months are equal, pixel for pixel, and have files of the same names."""
    for what in ("codes", "confidence"):
        ours, theirs = getattr(found, what), getattr(wanted, what)
        different = int((ours != theirs).sum()) if ours.shape == theirs.shape else "all"
        check(different == 0, f"{different} pixels of the {what} differ")
    odd = found.names ^ wanted.names
    check(not odd, f"these files are too many or too few: {sorted(odd)}")


def files(place: Place) -> dict[str, str]:
    """Return the SHA-256 of each file of the results, by its path in their folder."""
    folders = [place.data / folder for folder in FOLDERS]
    found = [path for folder in folders if folder.exists() for path in folder.iterdir()]
    return {f"{path.parent.name}/{path.name}": _sha256(path) for path in found if path.is_file()}


def _sha256(path: UPath) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- rows -----------------------------------------------------------------------------------------


def recorded(place: Place) -> list[tuple[Any, ...]]:
    """Return file name, SHA-256 and time of every map that is recorded."""
    return _rows(
        place,
        "SELECT prediction_filename, details->>'sha256', generated_at FROM raster_predictions",
    )


def check_described(place: Place) -> None:
    """Make sure that the rows are true: of the files that are there, and of each other."""
    check_models(place)
    unlike = unlike_rows(place)
    check(not unlike, f"rows do not describe their files: {unlike}")


def check_models(place: Place) -> None:
    """Make sure that each map's row names the model that made it, or says that it was replaced."""
    unlike = _rows(
        place,
        "SELECT prediction_filename FROM raster_predictions LEFT JOIN ml_models USING (model_id)"
        " WHERE details->'model_replaced' IS NULL"
        " AND details->>'model_sha256' IS DISTINCT FROM parameters->>'sha256'",
    )
    check(not unlike, f"the rows of these maps name models that did not make them: {unlike}")


def unlike_rows(place: Place) -> list[str]:
    """Return which maps and models are not what their rows say, or have none."""
    described = _rows(
        place,
        "SELECT 'predictions/' || prediction_filename, details->>'sha256' FROM raster_predictions"
        " UNION SELECT 'models/' || model_filename, parameters->>'sha256' FROM ml_models",
    )
    told = dict(described)
    kinds = ("predictions/prediction_*.tif", "models/rf_model_*.joblib")
    found = {name: digest for name, digest in files(place).items() if _is_any(name, kinds)}
    return [
        f"{name} is {found.get(name, 'not there')}, its row says {told.get(name, 'nothing')}"
        for name in sorted(told.keys() | found.keys())
        if told.get(name) != found.get(name)
    ]


def _is_any(name: str, patterns: tuple[str, ...]) -> bool:
    return any(Path(name).match(pattern) for pattern in patterns)


def _rows(place: Place, query: str) -> list[tuple[Any, ...]]:
    with _connected(place) as connection:
        there = connection.scalar(text("SELECT to_regclass('raster_predictions') IS NOT NULL"))
        return [tuple(row) for row in connection.execute(text(query))] if there else []


@contextmanager
def _connected(place: Place) -> Iterator[Connection]:
    engine = create_engine(place.database)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


# --- an earlier month -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Memory:
    """A finished month that can be put back.

    Attributes:
        files: the bytes of its files, by their paths in the folder of results.
        schema: of the database, where copies of its rows are.
    """

    files: Mapping[str, bytes]
    schema: str


def remember(place: Place) -> Memory:
    """Remember what a finished month has left."""
    check_described(place)
    schema = f"old_{uuid4().hex}"
    with _connected(place) as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
        for table in TABLES:
            connection.execute(text(f"CREATE TABLE {schema}.{table} AS TABLE {table}"))
    return Memory({name: (place.data / name).read_bytes() for name in files(place)}, schema)


def put_back(place: Place, old: Memory) -> None:
    """Put back a month's files and rows, for those that are there."""
    for name in files(place).keys() - old.files.keys():
        (place.data / name).unlink()
    for name, written in old.files.items():
        path = place.data / name
        if not path.exists() or path.read_bytes() != written:
            path.write_bytes(written)
    with _connected(place) as connection:
        connection.execute(text(f"TRUNCATE {', '.join(TABLES)}"))
        for table in TABLES:
            connection.execute(text(f"INSERT INTO {table} TABLE {old.schema}.{table}"))
