"""The month's map: windows predicted one by one, then assembled."""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import shapely
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.runtime import task_run
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from landcover.aoi import load_aoi
from landcover.areas import class_hectares
from landcover.cog import write_cog
from landcover.errors import LandcoverError, TransientError
from landcover.files import code_version, prediction_name, publish, sha256
from landcover.mosaic import Mosaic
from landcover.prediction import predict_window as predict
from landcover.training import Model, load
from landcover.windows import plan_windows as plan
from tasks.retries import io_task

WINDOW_SIZE = 2048  # pixels a side


@dataclass(frozen=True)
class Plan:
    """What is to be predicted, and where the work is kept.

    Attributes:
        folder: holds the area and the pieces; named after all that the pieces depend on, so that
            a run that was cut short is taken up only by one that would make the same pieces.
        windows: the parts of the mosaic that touch the area of interest.
    """

    folder: Path
    windows: tuple[Window, ...]

    @property
    def area(self) -> Path:
        """The area of interest in the mosaic's CRS, as WKB."""
        return self.folder / "area.wkb"

    def piece(self, window: Window) -> Path:
        """The file of a window's piece."""
        return self.folder / f"piece_{window.col_off}_{window.row_off}.tif"


@dataclass(frozen=True)
class Prediction:
    """A finished map.

    Attributes:
        path: the Cloud-Optimized GeoTIFF.
        sha256: of the file.
        hectares: the true area of each class, by name.
    """

    path: Path
    sha256: str
    hectares: Mapping[str, float]


@task(name="plan windows", cache_policy=NO_CACHE)
def plan_windows(
    year: int, month: int, mosaic: Mosaic, aoi_definition: str, model: Model, work_dir: Path
) -> Plan:
    """Decide which windows of the mosaic are predicted.

    Args:
        year: of the month.
        month: 1 to 12.
        mosaic: the imagery.
        aoi_definition: the area of interest (see `landcover.aoi.load_aoi`).
        model: what will predict.
        work_dir: where the work is kept.

    Raises:
        SettingsError: if the area is none.
        LandcoverError: if the area does not touch the mosaic, or the mosaic lacks a band.
    """
    area = load_aoi(aoi_definition).to_crs(mosaic.grid.crs).iloc[0]
    windows = plan(mosaic.grid, area, WINDOW_SIZE)
    if not windows:
        raise LandcoverError(
            f"The area of interest does not touch the mosaic {mosaic.origin}, which covers "
            f"{_extent(mosaic.grid.bounds)}; the area covers {_extent(area.bounds)} "
            "(west, south, east, north): check AOI_DEFINITION."
        )
    missing = [name for name in model.bands if name not in mosaic.bands]
    if missing:
        raise LandcoverError(
            f"The model {model.path.name} reads the bands {', '.join(model.bands)}, but "
            f"MOSAIC_BANDS has no {', '.join(missing)}: use the bands that it was trained on."
        )
    parts = [mosaic.fingerprint, area.wkb_hex, model.sha256, code_version()]
    fingerprint = hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
    planned = Plan(month_folder(year, month, work_dir) / fingerprint, tuple(windows))
    planned.folder.mkdir(parents=True, exist_ok=True)
    planned.area.write_bytes(shapely.to_wkb(area))
    get_run_logger().info("Windows that touch the area of interest: %d", len(windows))
    return planned


def month_folder(year: int, month: int, work_dir: Path) -> Path:
    """Return the folder of a month's predictions in progress."""
    return work_dir / Path(prediction_name(year, month)).stem


def _extent(bounds: tuple[float, ...]) -> str:
    return ", ".join(f"{edge:.6g}" for edge in bounds)


def _window_name() -> str:
    window = task_run.parameters["window"]
    return f"predict {window.col_off}-{window.row_off}"


@io_task("predict window", _window_name)
def predict_window(window: Window, plan: Plan, mosaic: Mosaic, model: Model) -> Path:
    """Predict a window, unless an earlier run of the same work already did.

    Args:
        window: which pixels of the mosaic.
        plan: where its piece goes.
        mosaic: the imagery.
        model: what predicts.

    Returns:
        The piece.

    Raises:
        TransientError: if the imagery cannot be read.
        LandcoverError: if the model file is not the recorded one.
    """
    piece = plan.piece(window)
    if not piece.exists():
        area = shapely.from_wkb(plan.area.read_bytes())
        try:
            predict(mosaic, load(model.path, model.sha256), model.bands, area, window, piece)
        except RasterioIOError as error:
            raise TransientError(
                f"Cannot read the mosaic {mosaic.origin} in the window at column "
                f"{window.col_off}, row {window.row_off} ({error}): fetch that file again."
            ) from error
    return piece


@io_task("assemble map", "assemble map {year}-{month:02d}")
def assemble_map(
    year: int,
    month: int,
    plan: Plan,
    pieces: list[Path],
    mosaic: Mosaic,
    model: Model,
    folder: Path,
) -> Prediction:
    """Assemble the pieces into the month's map, publish it, and measure its classes.

    Args:
        year: of the month.
        month: 1 to 12.
        plan: the windows.
        pieces: their pieces, in the same order.
        mosaic: the imagery.
        model: what predicted.
        folder: where the map goes.
    """
    built = plan.folder / prediction_name(year, month)
    tags = {"source_mosaic": mosaic.origin, "model": model.path.name, "code": code_version()}
    windows = dict(zip(pieces, plan.windows, strict=True))
    write_cog(windows, mosaic.grid, model.names, tags, built)
    hectares = {model.names[code]: area for code, area in class_hectares(built).items()}
    path, digest = folder / built.name, sha256(built)
    publish(built, path)
    shutil.rmtree(plan.folder.parent)
    get_run_logger().info("Map written to %s", path)
    return Prediction(path, digest, {name: round(area, 2) for name, area in hectares.items()})
