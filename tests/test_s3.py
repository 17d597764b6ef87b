"""The bucket: whole months on it, what is asked of it, its keys, and what it refuses."""

import hashlib
import itertools
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from uuid import uuid4

import botocore.auth
import geopandas
import numpy as np
import pytest
import rasterio
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.settings import get_current_settings
from rasterio.session import AWSSession
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate
from rio_tiler.io import Reader
from sqlalchemy import URL, create_engine, text
from upath import UPath

from demo.world import World
from flows import mapping, monthly, prepare_data, run_predictions, train_model
from landcover.classes import NODATA
from landcover.errors import LandcoverError
from landcover.files import sha256
from landcover.imagery.mosaic import Mosaic, describe_mosaic
from landcover.imagery.quads import Quad, find_quads, read_header, write_index
from landcover.maps.lookup import fastest
from landcover.maps.prediction import predict_window
from landcover.model.forest import ForestSettings, new_pipeline
from landcover.publishing import EARLIER, aside, brought, drop, leftovers, publish, settle
from tasks.access.storage import storage
from tasks.mosaic import find_mosaic
from tests.months import run_of
from tests.rasters import moved, pixel_box, random_values, write_raster
from tests.servers.environment import of_bucket, of_database, of_folders, without_settings
from tests.servers.postgis import new_database
from tests.servers.swift import Bucket, Request, S3Server, new_bucket
from tests.servers.waiting import PATIENCE

REPOSITORY = Path(__file__).parents[1]
MONTH = ("--year", "2025", "--month", "6")
FEW = ("--trees", "5", "--folds", "2")
NAMES = {
    "prepared": "prepared_data_202506.parquet",
    "models": "rf_model_202506.joblib",
    "predictions": "prediction_202506.tif",
}

# GDAL reads a file's first kilobytes and whole multiples of them.
CHUNK = 16_384


def put_month(landscape: World, bucket: Bucket) -> str:
    """Put the quads of June into a bucket; return their folder."""
    folder = f"{bucket.name}/NICFI Monthly Mosaics/2025/06"
    for quad in (landscape.mosaic_dir / "2025" / "06").glob("*.tif"):
        bucket.filesystem.put_file(str(quad), f"{folder}/{quad.stem}_2025_06.tiff")
    return folder


@pytest.fixture(scope="module")
def nicfi(landscape: World, s3_server: S3Server) -> Iterator[Bucket]:
    """A bucket with the quads of June, for reading."""
    with new_bucket(s3_server, f"nicfi-{uuid4().hex}") as bucket:
        put_month(landscape, bucket)
        yield bucket


def of_landscape(landscape: World) -> dict[str, str]:
    return {
        "MOSAIC_PATTERN": "{year}/{month:02d}/*_{year}_{month:02d}.tif*",
        "AOI_DEFINITION": str(landscape.aoi),
        "TRAINING_POLYGON_TABLE": str(landscape.polygons),
        "TRAINING_POLYGON_CLASS_COL": "class_label",
        "TRAINING_POLYGON_ID_COL": "id",
        "TRAINING_POLYGON_MONTH_COL": "month",
    }


@pytest.fixture
def on_s3(landscape: World, nicfi: Bucket, bucket: Bucket, settings: Callable[..., None]) -> Bucket:
    """Settings of a month whose imagery and folders are all in buckets; return the folders'."""
    settings(
        PLANET_MOSAIC_DIR=f"{nicfi.url}/NICFI Monthly Mosaics",
        **of_landscape(landscape),
        **of_folders(bucket.url),
        **of_bucket(bucket.server),
    )
    return bucket


def read_codes(path: str, server: S3Server | None = None) -> np.ndarray:
    with gdal_on(server), rasterio.open(path) as image:
        return image.read(1)


def gdal_on(server: S3Server | None) -> rasterio.Env:
    if server is None:
        return rasterio.Env()
    session = AWSSession(
        aws_access_key_id=server.key,
        aws_secret_access_key=server.secret,
        region_name=server.region,
        endpoint_url=server.endpoint.removeprefix("http://"),
    )
    return rasterio.Env(session, AWS_HTTPS="NO", AWS_VIRTUAL_HOSTING="FALSE")


# What two threads read of a quad, each its half in strips.
SIDE_BY_SIDE = """
import sys
from concurrent.futures import ThreadPoolExecutor
import rasterio
from rasterio.windows import Window
from tasks.access.process import configure

configure()

def read(top):
    with rasterio.open(sys.argv[1]) as quad:
        for row in range(top, top + 1024, 512):
            quad.read(window=Window(0, row, 4096, 512))

with ThreadPoolExecutor(2) as pool:
    list(pool.map(read, (0, 1024)))
"""


def test_threads_that_read_a_quad_side_by_side_fetch_nothing_twice(bucket: Bucket, tmp_path: Path):
    # Noise of three bands is no smaller compressed: 12.6 MB a strip.
    values = np.random.default_rng(0).integers(0, 2**16, (3, 2048, 4096), "uint16")
    quad = write_raster(tmp_path / "quad.tif", values, block=256)
    bucket.filesystem.put_file(str(quad), f"{bucket.name}/quad.tif")
    server = bucket.server
    access = {
        "AWS_ACCESS_KEY_ID": server.key,
        "AWS_SECRET_ACCESS_KEY": server.secret,
        "AWS_REGION": server.region,
        "AWS_S3_ENDPOINT": server.endpoint.removeprefix("http://"),
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
    }
    # In a process of its own: GDAL makes what it keeps things in when it first fetches something.
    command = [sys.executable, "-c", SIDE_BY_SIDE, f"/vsis3/{bucket.name}/quad.tif"]
    with bucket.counted() as asked:
        subprocess.run(command, env=os.environ | access, cwd=REPOSITORY, check=True)
    fetched = sum(request.length or 0 for request in asked if request.method == "GET")
    assert quad.stat().st_size <= fetched < 1.05 * quad.stat().st_size


# --- a month --------------------------------------------------------------------------------------


# Two processes that import all of it are dear, so one worker has them.
WITH_MONTHS = pytest.mark.xdist_group("months on s3")


class Done(NamedTuple):
    """A month that was run from the shell."""

    said: str
    folder: Path
    rows: dict[str, dict[str, Any]]


def run_in_shell(folder: Path, database: URL, settings: Mapping[str, str]) -> Done:
    """Run June in a folder of its own, and return all that it said and recorded."""
    engine = create_engine(database)
    folder.mkdir()
    in_database = {
        **of_database(database),
        "TRAINING_POLYGON_TABLE": "polygons",
        "TRAINING_POLYGON_GEOM_COL": "geometry",
    }
    done = subprocess.run(
        [sys.executable, REPOSITORY / "flows" / "monthly.py", *MONTH, *FEW],
        env={**without_settings(), **settings, **in_database},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    with engine.connect() as connection:
        rows = {
            table: dict(connection.execute(text(f"SELECT * FROM {table}")).mappings().one())
            for table in ("ml_models", "raster_predictions")
        }
    engine.dispose()
    return Done(done.stdout + done.stderr, folder, rows)


@pytest.fixture(scope="module")
def months(
    landscape: World,
    nicfi: Bucket,
    s3_server: S3Server,
    postgis: URL,
    prefect_api: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Done, Done, Bucket]]:
    """June on disk and June on S3, both with polygons and rows in PostGIS, and S3's bucket."""
    base = tmp_path_factory.mktemp("months")
    # Asked here, because the threads below would not see the server of the tests.
    api = {"PREFECT_API_URL": str(get_current_settings().api.url)}
    here = {"PLANET_MOSAIC_DIR": str(landscape.mosaic_dir), **of_landscape(landscape), **api}
    here["MOSAIC_PATTERN"] = landscape.mosaic_pattern
    polygons = geopandas.read_file(landscape.polygons)
    with (
        new_bucket(s3_server, f"maps-{uuid4().hex}") as bucket,
        new_database(postgis, f"disk_{uuid4().hex}") as disk,
        new_database(postgis, f"s3_{uuid4().hex}") as on_s3,
        ThreadPoolExecutor(2) as pool,
    ):
        for database in (disk, on_s3):
            engine = create_engine(database)
            polygons.to_postgis("polygons", engine)
            engine.dispose()
        there = {
            "PLANET_MOSAIC_DIR": f"{nicfi.url}/NICFI Monthly Mosaics",
            **of_landscape(landscape),
            **api,
            **of_folders(f"{bucket.url}/team A"),
            **of_bucket(s3_server),
        }
        jobs = [
            pool.submit(run_in_shell, base / "disk", disk, here),
            pool.submit(run_in_shell, base / "s3", on_s3, there),
        ]
        yield jobs[0].result(), jobs[1].result(), bucket


@WITH_MONTHS
def test_a_month_on_s3_and_postgis_makes_the_map_that_it_makes_on_disk(months):
    on_disk, on_s3, bucket = months
    path = f"{bucket.name}/team A/predictions/{NAMES['predictions']}"

    codes = read_codes(f"/vsis3/{path}", bucket.server)
    assert np.array_equal(codes, read_codes(on_disk.folder / "data/predictions" / Path(path).name))
    assert len(np.unique(codes)) > 4
    assert on_s3.rows["raster_predictions"]["prediction_path"] == f"s3://{path}"
    assert on_s3.rows["raster_predictions"]["source_mosaic"].startswith("s3://nicfi-")

    names = {
        Path(name).name
        for name in bucket.filesystem.find(f"{bucket.name}/team A")
        if "/work/" not in name
    }
    made_here = {path.name for path in on_disk.folder.glob("data/[!w]*/*")}
    assert names == made_here
    assert set(NAMES.values()) < names
    work = {Path(name).name for name in bucket.filesystem.find(f"{bucket.name}/team A/work")}
    assert work == {"mosaic_202506.parquet", "polygons_202506.parquet"}
    assert not list(on_s3.folder.rglob("*.tif*"))


@WITH_MONTHS
def test_a_tile_server_reads_the_map_from_s3(months, tmp_path: Path):
    _on_disk, _, bucket = months
    key = f"{bucket.name}/team A/predictions/{NAMES['predictions']}"
    bucket.filesystem.get_file(key, str(tmp_path / "map.tif"))
    assert cog_validate(tmp_path / "map.tif", strict=True) == (True, [], [])

    codes = read_codes(tmp_path / "map.tif")
    with gdal_on(bucket.server), Reader(f"/vsis3/{key}") as reader:
        zoom = reader.maxzoom
        middle = [
            (low + high) / 2
            for low, high in zip(reader.bounds[:2], reader.bounds[2:], strict=False)
        ]
        tile = reader.tms._tile(*middle, zoom)
        read = reader.tile(tile.x, tile.y, zoom)
    with rasterio.open(tmp_path / "map.tif") as image:
        left, top = (round(at) for at in ~image.transform @ (read.bounds.left, read.bounds.top))
    part = codes[max(top, 0) : top + 256, max(left, 0) : left + 256]
    shown = read.data[0][max(-top, 0) :, max(-left, 0) :][: part.shape[0], : part.shape[1]]
    assert np.array_equal(shown, part)
    assert (part != NODATA).mean() > 0.3


@WITH_MONTHS
def test_the_secrets_of_a_month_are_nowhere_in_plain_sight(months, nicfi):
    _, done, bucket = months
    run_id = done.rows["ml_models"]["parameters"]["flow_run_id"]
    with get_client(sync_client=True) as client:
        about = {
            "flow run": [client.read_flow_run(run_id)],
            "logs": client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))),
            "artifacts": client.read_artifacts(
                artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
            ),
        }
    assert all(about.values())
    answers = {
        name: " ".join(answer.model_dump_json() for answer in found).encode()
        for name, found in about.items()
    }
    files = bucket.filesystem.cat(bucket.filesystem.find(bucket.name))
    rows = json.dumps(done.rows, default=str, ensure_ascii=False).encode()
    seen = {"output": done.said.encode(), "rows": rows, **answers, **files}
    assert b"Map written to" in answers["logs"]
    for name, content in seen.items():
        for secret in (bucket.server.secret, "pässword of", r"p\u00e4ssword of", "p%C3%A4ssword"):
            assert secret.encode() not in content, name


@WITH_MONTHS
def test_the_three_steps_of_a_month_on_s3(on_s3: Bucket, months, prefect_api, capfd):
    samples = f"{on_s3.url}/prepared/{NAMES['prepared']}"
    assert prepare_data.main(MONTH) == 0
    assert samples in capfd.readouterr().out
    assert train_model.main([*MONTH, *FEW, "--input_data", samples]) == 0
    assert run_predictions.main(MONTH) == 0

    path = f"{on_s3.name}/predictions/{NAMES['predictions']}"
    assert f"map: s3://{path}" in capfd.readouterr().out
    expected = read_codes(months[0].folder / "data/predictions" / NAMES["predictions"])
    assert np.array_equal(read_codes(f"/vsis3/{path}", on_s3.server), expected)
    with sqlite3.connect("data/chocoforest.db") as database:
        rows = database.execute("SELECT prediction_path FROM raster_predictions").fetchall()
    assert rows == [(f"s3://{path}",)]


# --- requests -------------------------------------------------------------------------------------


def s3_mosaic(where: str, folder: Path, bands: Mapping[str, int]) -> Mosaic:
    quads = [Quad((read_header(image),)) for image in find_quads(where, "it")]
    index = UPath(folder / "mosaic.parquet")
    write_index([quads], Path(index))
    return describe_mosaic(quads, where, bands, index)


def needed(path: Path, window: Window) -> tuple[int, int]:
    """Return in how many runs of bytes the blocks of a window lie, and their bytes."""
    with rasterio.open(path) as image:
        size = image.block_shapes[0][0]
        blocks = [
            tuple(
                int(image.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=1))
                for what in ("OFFSET", "SIZE")
            )
            for row in range(window.row_off // size, -(-(window.row_off + window.height) // size))
            for column in range(window.col_off // size, -(-(window.col_off + window.width) // size))
        ]
    # A few bytes are between blocks.
    runs = 1 + sum(
        after[0] > before[0] + before[1] + 16 for before, after in itertools.pairwise(blocks)
    )
    return runs, sum(length for _, length in blocks)


def test_predicting_a_window_asks_for_a_header_and_the_blocks_of_each_quad_that_it_touches(
    bucket: Bucket, settings, tmp_path: Path
):
    settings(**of_bucket(bucket.server))
    for number in range(3):
        name = f"quad {number}.tif"
        values = random_values((5, 512, 512), seed=number)
        write_raster(tmp_path / name, values, transform=moved(512 * number, 0), block=128)
        bucket.filesystem.put_file(str(tmp_path / name), f"{bucket.name}/2022/01/{name}")
    random = np.random.default_rng(0)
    model = new_pipeline(ForestSettings(trees=2), jobs=1)
    model.fit(random.integers(1, 5000, (200, 4)), random.integers(0, 6, 200))
    bands = {"blue": 1, "green": 2, "red": 3, "nir": 4}
    window, area = Window(384, 0, 256, 300), pixel_box(0, 0, 1536, 512)

    with storage(None):
        mosaic = s3_mosaic(f"{bucket.url}/2022/01/*.tif", tmp_path, bands)
        with bucket.counted() as requests:
            codes, _ = predict_window(mosaic, fastest(model), list(bands), area, window)
    assert (codes != NODATA).all()

    assert {request.path for request in requests} == {
        f"/{bucket.name}/2022/01/quad {number}.tif" for number in (0, 1)
    }
    for number, part in ((0, Window(384, 0, 128, 300)), (1, Window(0, 0, 128, 300))):
        name = f"quad {number}.tif"
        asked = [request for request in requests if request.path.endswith(name)]
        runs, size = needed(tmp_path / name, part)
        assert asked[0].range == f"bytes=0-{CHUNK - 1}"
        assert {(request.method, request.status) for request in asked} == {("GET", 206)}
        assert len(asked) <= 1 + runs
        assert sum(request.length or 0 for request in asked) <= CHUNK + size + 2 * CHUNK * runs
        assert size + 2 * CHUNK * runs < (tmp_path / name).stat().st_size / 3


def test_only_the_header_of_a_quad_that_was_replaced_is_read_again_and_the_mosaic_follows_it(
    on_s3: Bucket, landscape: World, settings, prefect_api
):
    folder = put_month(landscape, on_s3)
    settings(PLANET_MOSAIC_DIR=f"s3://{folder.removesuffix('/2025/06')}")

    def find() -> tuple[Mosaic, list[Request]]:
        with on_s3.counted() as requests:
            mosaic = find_mosaic(run_of(aoi=str(landscape.aoi)), None)
        return mosaic, [request for request in requests if request.path.endswith(".tiff")]

    first, headers = find()
    assert sorted(request.path for request in headers) == [
        f"/{name}" for name in on_s3.filesystem.ls(folder, detail=False)
    ]
    again, headers = find()
    assert headers == []
    assert again.fingerprint == first.fingerprint

    quad = first.quads()[4]
    with storage(None), first.open() as reader:
        before = reader.read([1], Window(0, 0, 768, 768)).values
    local = next(landscape.mosaic_dir.rglob(f"2025/06/{Path(quad.path).name[:10]}*.tif"))
    with rasterio.open(local) as image:
        values, profile, interps = image.read(), image.profile, image.colorinterp
    with rasterio.open("new.tif", "w", **profile) as image:
        image.colorinterp = interps
        image.write(np.flip(values, axis=2))
    on_s3.filesystem.put_file("new.tif", quad.path.removeprefix("s3://"))

    third, headers = find()
    assert [f"s3:/{request.path}" for request in headers] == [quad.path]
    assert third.fingerprint != first.fingerprint
    with storage(None), third.open() as reader:
        after = reader.read([1], Window(0, 0, 768, 768)).values
    assert np.array_equal(after[0, 256:512, 256:512], np.fliplr(before[0, 256:512, 256:512]))
    after[0, 256:512, 256:512] = before[0, 256:512, 256:512]
    assert np.array_equal(after, before)


def test_bands_of_several_files_and_static_ones_are_found_and_read_in_the_bucket(
    bucket: Bucket, settings, prefect_api
):
    values = random_values((2, 64, 64))
    heights = random_values((1, 64, 64), dtype="float32")
    for key, band in {
        "06/x_B04.tif": values[:1],
        "06/x_B08.tif": values[1:],
        "d em.tif": heights,
    }.items():
        made = write_raster(Path(key), band)
        bucket.filesystem.put_file(str(made), f"{bucket.name}/{key}")
    settings(
        PLANET_MOSAIC_DIR=bucket.url,
        MOSAIC_PATTERN="{month:02d}/*.tif",
        MOSAIC_BANDS="red=B04.tif,nir=B08.tif",
        STATIC_BANDS=f"elevation={bucket.url}/d em.tif",
        **of_folders(bucket.url),
        **of_bucket(bucket.server),
    )
    area = f"SRID=3857;{pixel_box(0, 0, 64, 64).wkt}"

    def find() -> tuple[Mosaic, set[str]]:
        with bucket.counted() as requests:
            mosaic = find_mosaic(run_of(aoi=area), None)
        gets = [Path(request.path) for request in requests if request.method == "GET"]
        return mosaic, {path.name for path in gets if path.suffix == ".tif"}

    first, headers = find()
    assert headers == {"x_B04.tif", "x_B08.tif", "d em.tif"}
    with storage(None), first.open() as reader:
        found = reader.read(list(first.bands.values()), first.grid.whole)
    assert np.array_equal(found.values, np.concatenate([values, heights]))
    write_raster(Path("d em.tif"), heights + 1)
    bucket.filesystem.put_file("d em.tif", f"{bucket.name}/d em.tif")
    second, headers = find()
    assert headers == {"d em.tif"}
    assert second.fingerprint != first.fingerprint


# --- keys -----------------------------------------------------------------------------------------

# In a process of its own, because to import Swift changes how threads and logging work.
LISTED = """
import sys
from swift.common.utils import Timestamp
from swift.container.backend import ContainerBroker

path, folder, count = sys.argv[1:]
item = {"size": 1, "content_type": "x", "etag": "e", "deleted": 0, "storage_policy_index": 0}
now = Timestamp.now().internal
names = [f"{folder}/{number:04d}_2022_01.tiff" for number in range(int(count))]
ContainerBroker(path).merge_items([item | {"name": name, "created_at": now} for name in names])
"""


def list_objects(server: S3Server, bucket: str, folder: str, count: int) -> None:
    """Let a bucket list objects that are nowhere: to put as many takes half a minute."""
    for path in server.log.parent.glob("disks/disk/containers/**/*.db"):
        with sqlite3.connect(path) as database:
            (name,) = database.execute("SELECT container FROM container_info").fetchone()
        if name == bucket:
            command = [sys.executable, "-c", LISTED, str(path), folder, str(count)]
            subprocess.run(command, check=True)
            return
    raise AssertionError(f"{bucket} is not there")


def test_all_of_more_than_a_thousand_keys_are_found(s3_server: S3Server, settings):
    settings(**of_bucket(s3_server))
    # It goes with the server: what is listed here cannot be removed.
    name = f"many-{uuid4().hex}"
    s3_server.filesystem().mkdir(name)
    list_objects(s3_server, name, "NICFI Monthly Mosaics/2022/01", 2005)
    place = f"s3://{name}/NICFI Monthly Mosaics"
    with storage(None):
        for pattern in ("2022/01/*_2022_01.tif*", "2022/01", "**/*.tiff"):
            paths = [image.path for image in find_quads(f"{place}/{pattern}", "it")]
            assert paths == [f"{place}/2022/01/{n:04d}_2022_01.tiff" for n in range(2005)]
        (last,) = find_quads(f"{place}/*/*/2004_*", "it")
        assert last.path == paths[-1]
        with pytest.raises(LandcoverError, match=r"2022/02/\*.tif; s3://.*/2022 holds 01"):
            find_quads(f"{place}/2022/02/*.tif", "it")


KEYS = (
    "570-1026_2022_01.tiff",
    "a #1.tif",
    "b?.tif",
    "c 100%.tif",
    "d%20e.tif",
    "f+g&h=i;j.tif",
    "k [2025]/l.tif",
    "m/n/o'p.tif",
    "q ñandú 森 ё.tif",
)


def test_files_are_published_between_disk_and_bucket_and_within_a_bucket(
    bucket: Bucket, settings, tmp_path: Path
):
    settings(**of_bucket(bucket.server))
    with storage(None):
        there, here = UPath(f"{bucket.url}/work"), UPath(tmp_path)
        (here / "built.tif").write_bytes(b"map")
        publish(here / "built.tif", there / "built.tif")
        for built, final in (
            (there / "built.tif", there / "prediction.tif"),
            (there / "prediction.tif", here / "prediction.tif"),
            (here / "prediction.tif", there / "again.tif"),
        ):
            final.write_bytes(b"an earlier one")
            publish(built, final)
            assert final.read_bytes() == built.read_bytes() == b"map"
        with pytest.raises(FileNotFoundError):
            publish(there / "nothing.tif", here / "prediction.tif")
        with pytest.raises(FileNotFoundError):
            publish(there / "nothing.tif", there / "prediction.tif")
        assert (there / "prediction.tif").read_bytes() == b"map"
    left = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert left == {"built.tif", "prediction.tif"}


def test_in_a_bucket_too_what_is_not_recorded_is_taken_back(
    bucket: Bucket, settings, tmp_path: Path
):
    settings(**of_bucket(bucket.server))
    folder, built = UPath(f"{bucket.url}/maps"), UPath(tmp_path / "built.tif")
    finals = folder / "report.html", folder / "prediction.tif"
    built.write_bytes(b"new")

    def found() -> dict[str, bytes]:
        return {
            path.rpartition("/")[2]: folder.fs.cat(path) for path in folder.fs.find(folder.path)
        }

    def publish_and_lose_the_connection(*, recorded: bool) -> None:
        with brought(dict.fromkeys(finals, built), lambda: recorded) as publish_brought:
            assert found()[".prediction.tif.unfinished"] == b"new"
            publish_brought()
            raise ConnectionError

    with storage(None):
        assert leftovers(finals) == []
        finals[1].write_bytes(b"old")
        with pytest.raises(ConnectionError):
            publish_and_lose_the_connection(recorded=False)
        assert found() == {"prediction.tif": b"old"}
        with pytest.raises(ConnectionError):
            publish_and_lose_the_connection(recorded=True)
        assert found() == {"prediction.tif": b"new", "report.html": b"new"}

        # As a process that was killed leaves it.
        digest = hashlib.sha256(b"old").hexdigest()
        aside(finals[1], EARLIER).write_bytes(b"old")
        left = leftovers(finals)
        back = settle(finals, left, lambda kept: sha256(kept) == digest)
        for path in left:
            drop(path)
        assert back == [finals[1]]
        assert found() == {"prediction.tif": b"old", "report.html": b"new"}


def test_keys_of_any_letters_are_found_and_read(bucket: Bucket, settings, tmp_path: Path):
    settings(**of_bucket(bucket.server))
    for number, key in enumerate(KEYS):
        values = np.full((1, 16, 16), number + 1, dtype="uint16")
        write_raster(tmp_path / "a.tif", values, transform=moved(16 * number, 0))
        bucket.filesystem.put_file(str(tmp_path / "a.tif"), f"{bucket.name}/my quads/{key}")

    with storage(None):
        # One has a # or a ? in it, which end the path in other addresses.
        for key in KEYS:
            (image,) = find_quads(f"{bucket.url}/my quads/{key}", "it")
            assert image.path == f"{bucket.url}/my quads/{key}"
        (image,) = find_quads(f"{bucket.url}/my quads/k [2025]", "it")
        assert image.path == f"{bucket.url}/my quads/k [2025]/l.tif"
        (image,) = find_quads(f"{bucket.url}/my quads/k [2025]/*.tif", "it")
        assert image.path == f"{bucket.url}/my quads/k [2025]/l.tif"
        folder = find_quads(f"{bucket.url}/my quads", "it")
        mosaic = s3_mosaic(f"{bucket.url}/my quads/**/*.tif*", tmp_path, {"blue": 1})
        with mosaic.open() as reader:
            values, valid, _ = reader.read([1], Window(0, 0, 16 * len(KEYS), 16))
    assert len(folder) == len(KEYS) - 2
    assert valid.all()
    assert np.array_equal(values[0, 0, ::16], np.arange(len(KEYS)) + 1)


# --- what it refuses ------------------------------------------------------------------------------

FAILED, WRONG = 1, 2


@dataclass(frozen=True)
class Refusal:
    """One thing that is wrong, and what is to be said of it.

    Attributes:
        words: what the message must hold; {endpoint} stands for the server's address.
        status: the exit status.
        settings: to change; {bucket}, {nicfi} and {readable} stand for buckets.
        options: of the command.
        clock: by how many seconds this machine's clock is wrong.
        local: whether the folders are on this machine, and only the imagery is in the bucket.
    """

    words: Sequence[str]
    status: int = FAILED
    settings: Mapping[str, str | None] = field(default_factory=dict)
    options: Sequence[str] = ()
    clock: int = 0
    local: bool = False


READER = {"S3_ACCESS_KEY_ID": "test:reader", "S3_SECRET_ACCESS_KEY": "readersecret"}

REFUSALS = {
    "wrong-secret": Refusal(
        ["{endpoint} refuses the credentials for PREPARED_DATA_DIR s3://{bucket}/prepared",
         "SignatureDoesNotMatch", "check S3_ACCESS_KEY_ID"],
        WRONG,
        {"S3_SECRET_ACCESS_KEY": "abracadabra"},
    ),
    "wrong-secret-for-imagery": Refusal(
        ["{endpoint} refuses the credentials for the mosaic s3://{nicfi}/NICFI Monthly Mosaics",
         "SignatureDoesNotMatch"],
        WRONG,
        {"S3_SECRET_ACCESS_KEY": "abracadabra"},
        local=True,
    ),
    "wrong-key": Refusal(
        ["refuses the credentials for PREPARED_DATA_DIR", "S3_ACCESS_KEY_ID"],
        WRONG,
        {"S3_ACCESS_KEY_ID": "test:abracadabra"},
    ),
    "no-such-bucket-for-maps": Refusal(
        ["has no such bucket: PREDICTION_OUTPUT_DIR s3://nowhere-at-all/maps", "check its name"],
        WRONG,
        {"PREDICTION_OUTPUT_DIR": "s3://nowhere-at-all/maps"},
    ),
    "no-such-bucket-for-imagery": Refusal(
        ["has no such bucket: the mosaic s3://nowhere-at-all/NICFI/2025/06/", "check its name"],
        WRONG,
        {"PLANET_MOSAIC_DIR": "s3://nowhere-at-all/NICFI"},
    ),
    "no-such-bucket-for-one-file": Refusal(
        ["has no such bucket: the mosaic s3://nowhere-at-all/a.tif"],
        WRONG,
        options=["--mosaic_path", "s3://nowhere-at-all/a.tif"],
    ),
    "no-such-folder": Refusal(
        ["nothing matches s3://{nicfi}/NICFI/2025/06/", "s3://{nicfi} holds NICFI Monthly Mosaics"],
        settings={"PLANET_MOSAIC_DIR": "s3://{nicfi}/NICFI"},
    ),
    "bucket-with-odd-letters": Refusal(
        ["WORK_DIR s3://maps!/work is not an address in a bucket", "s3://bucket/folder"],
        WRONG,
        {"WORK_DIR": "s3://maps!/work"},
    ),
    "endpoint-without-scheme": Refusal(
        ["S3_ENDPOINT_URL is wrong (it does not start with https://"],
        WRONG,
        {"S3_ENDPOINT_URL": "nyc3.digitaloceanspaces.com"},
    ),
    "endpoint-refuses": Refusal(
        ["http://127.0.0.1:1 cannot be reached for PREPARED_DATA_DIR", "check S3_ENDPOINT_URL"],
        settings={"S3_ENDPOINT_URL": "http://127.0.0.1:1"},
    ),
    "clock-wrong": Refusal(
        ["{endpoint} refuses PREPARED_DATA_DIR", "this machine's clock is wrong", "set it"],
        clock=3600,
    ),
    "clock-wrong-for-imagery": Refusal(
        ["{endpoint} refuses the mosaic s3://{nicfi}", "this machine's clock is wrong"],
        clock=-3600,
        local=True,
    ),
    "read-only-bucket": Refusal(
        ["does not allow access to PREDICTION_OUTPUT_DIR s3://{readable}/maps (AccessDenied)",
         "another folder"],
        settings={**READER, "PREDICTION_OUTPUT_DIR": "s3://{readable}/maps"},
        local=True,
    ),
    "unreadable-imagery": Refusal(
        ["does not allow access to the mosaic s3://{nicfi}/a.tif (AccessDenied)"],
        settings=READER,
        options=["--mosaic_path", "s3://{nicfi}/a.tif"],
        local=True,
    ),
    "no-credentials": Refusal(
        ["There are no credentials for PREPARED_DATA_DIR", "set S3_ACCESS_KEY_ID and"],
        WRONG,
        {"S3_ACCESS_KEY_ID": None, "S3_SECRET_ACCESS_KEY": None},
    ),
    "key-without-secret": Refusal(
        ["S3_SECRET_ACCESS_KEY is not set, but its counterpart is"],
        WRONG,
        {"S3_SECRET_ACCESS_KEY": None},
    ),
    "secret-without-key": Refusal(
        ["S3_ACCESS_KEY_ID is not set, but its counterpart is"],
        WRONG,
        {"S3_ACCESS_KEY_ID": None},
    ),
    "no-bucket": Refusal(
        ["WORK_DIR is wrong ('s3://' is neither a folder on this machine nor s3://bucket/folder)"],
        WRONG,
        {"WORK_DIR": "s3://"},
    ),
    "no-bucket-of-imagery": Refusal(
        ["The mosaic s3:// is neither on this machine nor in a bucket"],
        WRONG,
        options=["--mosaic_path", "s3://"],
    ),
    "another-cloud": Refusal(
        ["PLANET_MOSAIC_DIR is wrong ('gs://nicfi/2025' is neither a folder on this machine nor"],
        WRONG,
        {"PLANET_MOSAIC_DIR": "gs://nicfi/2025"},
    ),
    "another-cloud-as-an-option": Refusal(
        ["The mosaic gs://nicfi/a.tif is neither on this machine nor in a bucket"],
        WRONG,
        options=["--mosaic_path", "gs://nicfi/a.tif"],
    ),
    "mask-beside-an-image": Refusal(
        ["s3://{readable}/with mask/a.tif.msk is a mask in a file of its own", "into the image"],
        options=["--mosaic_path", "s3://{readable}/with mask/*.tif"],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def readable(landscape: World, s3_server: S3Server) -> Iterator[Bucket]:
    """A bucket that the server's second user may read but not write."""
    with new_bucket(s3_server, f"readable-{uuid4().hex}") as bucket:
        quad = next(landscape.mosaic_dir.rglob("*.tif"))
        for name in ("a.tif", "a.tif.msk"):
            bucket.filesystem.put_file(str(quad), f"{bucket.name}/with mask/{name}")
        s3_server.let_read(bucket.name)
        yield bucket


@pytest.mark.parametrize(
    "refusal", [pytest.param(refusal, id=name) for name, refusal in REFUSALS.items()]
)
@pytest.mark.usefixtures("hasty")
def test_what_the_bucket_refuses_is_told_in_one_sentence_before_anything_is_done(
    refusal: Refusal,
    on_s3: Bucket,
    nicfi: Bucket,
    readable: Bucket,
    settings,
    monkeypatch,
    capfd,
    caplog,
):
    places = {
        "endpoint": on_s3.server.endpoint,
        "bucket": on_s3.name,
        "nicfi": nicfi.name,
        "readable": readable.name,
    }
    if refusal.local:
        settings(**of_folders("data"))
    changed = refusal.settings.items()
    settings(**{name: value and value.format(**places) for name, value in changed})
    now = botocore.auth.get_current_datetime
    with monkeypatch.context() as clock:
        clock.setattr(
            botocore.auth,
            "get_current_datetime",
            lambda *said, **more: now(*said, **more) + timedelta(seconds=refusal.clock),
        )
        status = monthly.main(
            [*MONTH, *FEW, *(option.format(**places) for option in refusal.options)]
        )
    out, err = capfd.readouterr()

    assert status == refusal.status
    told = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert len(told) == 1
    for words in refusal.words:
        assert words.format(**places) in told[0]
    assert out == ""
    for leak in ("Traceback", "abracadabra", on_s3.server.secret, "readersecret"):
        assert leak not in out + err + caplog.text or leak in " ".join(refusal.words)
    assert on_s3.filesystem.find(on_s3.name) == []
    assert not list(Path.cwd().glob("data/[!w]*/*"))


class Gateway(ThreadingHTTPServer):
    """A web proxy that notes whom it is asked for, and lets nobody through."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), NoWayOut)


class NoWayOut(BaseHTTPRequestHandler):
    server: Gateway

    def do_CONNECT(self) -> None:
        self.server.asked.append(self.path)
        self.send_error(403)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def gateway(settings: Callable[..., None]) -> Iterator[Gateway]:
    """The only way from this machine to others."""
    with Gateway() as gateway:
        thread = Thread(target=gateway.serve_forever)
        thread.start()
        settings(https_proxy=f"http://127.0.0.1:{gateway.server_port}", no_proxy=None)
        yield gateway
        gateway.shutdown()
        thread.join()


@pytest.mark.usefixtures("hasty")
def test_without_an_endpoint_amazon_is_asked_and_the_setting_is_named(
    on_s3: Bucket, gateway: Gateway, settings, capfd
):
    settings(S3_ENDPOINT_URL=None)
    assert monthly.main(MONTH) == FAILED
    err = capfd.readouterr().err
    assert "Error: Amazon's S3 (S3_ENDPOINT_URL is not set) cannot be reached" in err
    assert "Traceback" not in err
    assert {host for host in gateway.asked if host.endswith(".amazonaws.com:443")}


@pytest.mark.usefixtures("hasty")
def test_a_quad_that_is_gone_when_it_is_read_fails_the_run_and_is_named(
    on_s3: Bucket, landscape: World, settings, monkeypatch, capfd
):
    folder = put_month(landscape, on_s3)
    settings(PLANET_MOSAIC_DIR=f"s3://{folder.removesuffix('/2025/06')}")
    quad = on_s3.filesystem.ls(folder, detail=False)[4]
    plan = mapping.plan_windows

    def plan_then_lose_a_quad(*arguments: Any) -> Any:
        planned = plan(*arguments)
        on_s3.filesystem.rm_file(quad)
        return planned

    monkeypatch.setattr(mapping, "plan_windows", plan_then_lose_a_quad)
    assert monthly.main([*MONTH, *FEW]) == FAILED

    out, err = capfd.readouterr()
    (told,) = re.findall("^Error: .*", err, flags=re.MULTILINE)
    assert f"s3://{quad}" in told
    assert out == ""
    assert "Traceback" not in err
    assert on_s3.filesystem.find(f"{on_s3.name}/predictions") == []
