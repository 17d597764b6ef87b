"""Vector files: which settings name one, and how any of them is opened."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile

import geopandas
import numpy as np
import pandas as pd
import pyarrow
import pyogrio
import shapely
from pyogrio.errors import (
    CRSError,
    DataLayerError,
    DataSourceError,
    FeatureError,
    FieldError,
    GeometryError,
)
from pyproj import CRS
from pyproj.exceptions import ProjError

from landcover.errors import SettingsError
from landcover.files import expanded
from landcover.geometry import reproject, to_lonlat
from landcover.listing import listed
from landcover.shapefile import NO_TEXT, encodings_of, members, read_decoded

PARQUET = {".parquet", ".geoparquet", ".pq"}
FEATHER = {".feather", ".arrow"}
GEOJSON = {".geojson", ".json", ".geojsonl", ".geojsons", ".ndjson", ".topojson"}

# What is opened as it is, and what is a folder.
READ = {
    *PARQUET,
    *FEATHER,
    *GEOJSON,
    *(".gpkg", ".shp", ".shz", ".zip", ".gdb", ".kml", ".kmz", ".gml", ".gpx", ".fgb", ".tab"),
    *(".mif", ".dxf", ".sqlite", ".csv", ".jml", ".gmt"),
}
FOLDERS = {".gdb", *PARQUET}

_SAVE = "save its layer as a GeoPackage, such as with QGIS (Export, Save Features As)"
_PART = "is one of the files of a Shapefile: name the one that ends in .shp"

# What holds vectors, or stands beside them, but cannot be opened here; and what to do.
NOT_READ = {
    ".dwg": f"is a drawing that cannot be read here: {_SAVE}, or as DXF",
    ".mdb": f"is a personal geodatabase, which cannot be read here: {_SAVE}",
    **dict.fromkeys((".qgz", ".qgs"), f"is a project of QGIS, not a layer: {_SAVE}"),
    **dict.fromkeys(
        (".lyr", ".lyrx", ".qlr", ".mpkx"),
        "only says how a layer is shown: name the file of the layer itself",
    ),
    **dict.fromkeys((".dbf", ".shx", ".prj", ".cpg", ".sbn"), _PART),
    **dict.fromkeys((".rar", ".7z", ".gz", ".tar"), "is packed: unpack it, and name what is in it"),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), f"is a table without geometries: {_SAVE}"),
    **dict.fromkeys((".tif", ".tiff"), "is an image, not a vector file"),
}

# The files of a Shapefile that are read, beside the .shp.
PARTS = {".shx", ".dbf", ".prj", ".cpg"}

# In a CSV, columns of these names hold WKT.
WKT_COLUMNS = "WKT,wkt_geom,wkt,geom,geometry,the_geom"

# A few vertices may lie beyond the end of the world by what was rounded.
ROUNDING = 1e-6  # degrees

# What readers raise where a file is not what it should be.
_FAILURES = (
    *(CRSError, DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError),
    *(ProjError, shapely.errors.ShapelyError, pyarrow.ArrowException),
    *(OSError, ValueError, LookupError, TypeError, BadZipFile),
)


@dataclass(frozen=True)
class VectorFile:
    """A vector file that a setting names; as text it is what the setting says."""

    text: str
    """As it was written."""
    path: Path
    """Where it is."""
    options: str = ""
    """What follows the path, as QGIS writes it: `layername=...` or `layerid=...`."""

    def __str__(self) -> str:
        """Return what the setting says."""
        return self.text

    @property
    def suffix(self) -> str:
        """How its name ends, in lower case."""
        return self.path.suffix.lower()

    def exists(self) -> bool:
        """Tell whether it is there, as far as this user may see."""
        return self.text.strip() != "" and _exists(self.path)

    def is_plain_folder(self) -> bool:
        """Tell whether it is a folder that is not a layer or a geodatabase itself."""
        return self.suffix not in FOLDERS and _is_folder(self.path)


@dataclass(frozen=True)
class Features:
    """What was read of a layer."""

    rows: geopandas.GeoDataFrame
    """A row a feature: the columns that were asked for and are there, and geometries without
    heights. The index holds the feature ids that QGIS shows."""
    columns: tuple[str, ...]
    """The names of all columns but the geometry's."""
    id_names: frozenset[str]
    """What the feature id is called, in lower case."""

    def has(self, name: str) -> bool:
        """Tell whether there is such a column, or the feature id is called so."""
        return name in self.columns or name.lower() in self.id_names

    def column(self, name: str) -> pd.Series:
        """Return a column that was asked for, or the feature ids where they are called so."""
        found: pd.Series = self.rows[name] if name in self.columns else self.rows.index.to_series()
        return found


def vector_file(text: str) -> VectorFile:
    """Return the file that a setting names: a path, or a path and a layer as QGIS writes them.

    Args:
        text: such as `~/areas.gpkg` or `areas.gpkg|layername=parishes`.
    """
    whole = Path(expanded(text.strip()))
    path, bar, options = str(whole).partition("|")
    if not bar or _exists(whole):
        return VectorFile(text, whole)
    return VectorFile(text, Path(path), options)


def is_vector_file(text: str) -> bool:
    """Tell whether a setting names a file, not a table of the database.

    It does where the file exists, where it is written as a path, and where it ends as the names of
    vector files do.

    Args:
        text: the setting.
    """
    file = vector_file(text)
    named = file.suffix in READ or file.suffix in NOT_READ
    written = any(mark in text.partition("|")[0] for mark in ("/", os.sep, "~"))
    return named or written or (file.exists() and not _is_folder(file.path))


def read_features(file: VectorFile, setting: str, wanted: Sequence[str] = ()) -> Features:
    """Read a layer of polygons: all of its geometries, and some of its columns.

    Args:
        file: any that GDAL or pyarrow opens, or a zipped Shapefile.
        setting: that names it, for messages.
        wanted: names of columns; those that are not there are left out. Without any, text that
            cannot be decoded does not matter.

    Raises:
        SettingsError: if it is not there, cannot be read, has several layers of polygons and none
            is named, does not say its CRS, or has coordinates that cannot be in it.
    """
    check_there(file, setting)
    with _told(file, setting):
        if file.suffix in PARQUET | FEATHER:
            features = _read_arrow(file, setting, wanted)
        else:
            features = _read_gdal(file, setting, wanted)
    check_crs(features.rows.geometry, str(file), "its coordinate reference system")
    return features


def check_there(file: VectorFile, setting: str) -> None:
    """Make sure that a file can be opened, before a library says something else of it.

    Args:
        file: which.
        setting: that names it, for messages.

    Raises:
        SettingsError: if it is not there, may not be read, or is not a vector file.
    """
    scheme, remote, _ = file.text.partition("://")
    # One of a bucket that was fetched is on this machine.
    if remote and not file.exists():
        raise SettingsError(
            f"{setting} should be on this machine, but is at {scheme}://...: fetch the file, and "
            "give its path."
        )
    with _told(file, setting):
        if not file.exists():
            raise SettingsError(f"{setting} is a file that does not exist: {file}.")
        if file.suffix in NOT_READ:
            raise SettingsError(f"{setting} is {file}, which {NOT_READ[file.suffix]}.")
        if file.is_plain_folder():
            raise SettingsError(f"{setting} is a folder: {file}; name the file in it.")
        if _is_folder(file.path):
            next(file.path.iterdir(), None)
            return
        for path in (file.path, *_beside(file)):
            path.open("rb").close()


def check_crs(outlines: geopandas.GeoSeries, what: str, where_to_say: str) -> None:
    """Make sure that geometries say where they are, and may be there.

    Metres that are said to be degrees are found: a GeoJSON often has them.

    Args:
        outlines: geometries of any kind.
        what: they are, for messages.
        where_to_say: what is to be set where they are in another CRS.

    Raises:
        SettingsError: if they have no CRS, if it is not one of places on the Earth, or if they have
            coordinates that are not longitudes and latitudes though the CRS says so.
    """
    if outlines.crs is None:
        raise SettingsError(
            f"{what} does not say its coordinate reference system: set it in the file (in QGIS: "
            f"Export, Save Features As, as a GeoPackage)."
        )
    try:
        to_lonlat(outlines.crs)
    except ProjError as error:
        raise SettingsError(
            f"{what} is in the coordinate reference system {outlines.crs.name!r}, from which "
            "nothing leads to longitude and latitude: save it in another, such as EPSG:4326."
        ) from error
    check_degrees(outlines.total_bounds, outlines.crs, what, where_to_say)


def check_degrees(bounds: Sequence[float], crs: CRS, what: str, where_to_say: str) -> None:
    """Find coordinates in metres that are said to be degrees.

    Args:
        bounds: west, south, east, north; not a number where there are no geometries.
        crs: that they are said to be in.
        what: they are the bounds of, for messages.
        where_to_say: what is to be set where they are in another CRS.

    Raises:
        SettingsError: if they are not longitudes and latitudes though the CRS says so.
    """
    west, south, east, north = bounds
    # What lies across the antimeridian is drawn in halves, or goes on beyond 180 degrees.
    around = min(west, -east) < -360 - ROUNDING or east - west > 360 + ROUNDING
    if crs.is_geographic and (around or min(south, -north) < -90 - ROUNDING):
        raise SettingsError(
            f"{what} has coordinates that are not longitudes and latitudes ({west:.10g} to "
            f"{east:.10g}, {south:.10g} to {north:.10g}), though its coordinate reference system "
            f"is one of degrees: where they are in another, set {where_to_say}."
        )


def has_area(geometries: geopandas.GeoSeries) -> pd.Series:
    """Tell which geometries are polygons, or hold some.

    Args:
        geometries: any; None and empty ones are not.
    """
    plane = shapely.get_dimensions(geometries.to_numpy()) == 2
    return pd.Series(plane & ~geometries.is_empty.to_numpy(), index=geometries.index)


def are_finite(geometries: geopandas.GeoSeries) -> pd.Series:
    """Tell which geometries have numbers for all of their coordinates; those without any do too.

    Args:
        geometries: any.
    """
    coordinates, place = shapely.get_coordinates(geometries.to_numpy(), return_index=True)
    finite = np.ones(len(geometries), dtype=bool)
    finite[place[~np.isfinite(coordinates).all(axis=1)]] = False
    return pd.Series(finite, index=geometries.index)


def touching(geometries: geopandas.GeoSeries, area: geopandas.GeoSeries) -> pd.Series:
    """Tell which geometries touch an area; those that its CRS cannot hold do not.

    Args:
        geometries: any, in a CRS.
        area: one geometry in any CRS.
    """
    there = reproject(area.iloc[0], area.crs, geometries.crs)
    touches: pd.Series = geometries.make_valid().intersects(there)
    return touches


def describe_kinds(kinds: Sequence[str | None]) -> str:
    """Return how many geometries there are of each kind.

    >>> describe_kinds(["Point", "MultiPoint", "LineString", None])
    '2 points, 1 line'

    Args:
        kinds: names of geometry types in any spelling; None for those without a geometry.
    """
    named = {"point": "point", "line": "line", "polygon": "polygon", "surface": "polygon"}
    counts: dict[str, int] = {}
    for kind in filter(None, kinds):
        found = (name for part, name in named.items() if part in kind.lower())
        name = next(found, "other geometry")
        counts[name] = counts.get(name, 0) + 1
    plural = {"other geometry": "other geometries"}
    return ", ".join(
        f"{count} {name if count == 1 else plural.get(name, f'{name}s')}"
        for name, count in sorted(counts.items(), key=lambda item: -item[1])
    )


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError:
        return True
    except (OSError, ValueError):  # text that cannot be the name of a file
        return False
    return True


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError:
        return False


def _beside(file: VectorFile) -> list[Path]:
    """Return the files that belong to a Shapefile."""
    if file.suffix != ".shp":
        return []
    beside = file.path.parent.iterdir()
    return [path for path in beside if path.stem == file.path.stem and path.suffix.lower() in PARTS]


@contextmanager
def _told(file: VectorFile, setting: str) -> Iterator[None]:
    """Say in one sentence why a file cannot be read."""
    try:
        yield
    except PermissionError as error:
        raise SettingsError(
            f"{setting} may not be read: {error.filename or file} ({error.strerror}); give this "
            "user permission to read it and the folders that it is in."
        ) from error
    except UnicodeError as error:
        raise SettingsError(
            f"{setting} has text that is not in the encoding that it should be in: {file} "
            f"({error}); save it again in UTF-8, such as a GeoPackage, with QGIS (Export, Save "
            "Features As)."
        ) from error
    except _FAILURES as error:
        raise SettingsError(f"{setting} cannot be read: {file} ({_reason(error)}).") from error


def _reason(error: Exception) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    if "not recognized as being in a supported file format" in said:
        return "its content is not of a kind that is read here; save it as a GeoPackage"
    if "Missing geo metadata" in said:
        return "it is a Parquet or Feather file without geometries: save it as GeoParquet"
    return said.rstrip(".")


def _read_arrow(file: VectorFile, setting: str, wanted: Sequence[str]) -> Features:
    """Read GeoParquet or Feather."""
    if file.options:
        raise SettingsError(f"{setting} is {file}, but such a file has no layers: leave out the |.")
    read = geopandas.read_feather if file.suffix in FEATHER else geopandas.read_parquet
    # Whole numbers stay whole where some are missing.
    rows = read(file.path, to_pandas_kwargs={"integer_object_nulls": True})
    if rows.index.name is not None:
        rows = rows.reset_index()
    columns = [str(name) for name in rows.columns if name != rows.geometry.name]
    kept = [name for name in dict.fromkeys(wanted) if name in columns]
    # GDAL, and so QGIS, numbers the rows from 0.
    chosen = rows[[*kept, rows.geometry.name]].reset_index(drop=True)
    return Features(_flat(chosen), tuple(columns), frozenset({"fid"}))


def _read_gdal(file: VectorFile, setting: str, wanted: Sequence[str]) -> Features:
    if "!" in str(file.path):
        raise ValueError("its path holds a !, which stands for an archive: rename it")
    source, options = _source(file, setting), {}
    if file.suffix == ".csv":
        layer, options = None, {"GEOM_POSSIBLE_NAMES": WKT_COLUMNS}
    else:
        layer = _choose_layer(file, source, setting)
    if not wanted:
        return _read_layer(file, source, layer, setting, (), NO_TEXT, options)

    def read(encoding: str | None) -> Features:
        return _read_layer(file, source, layer, setting, wanted, encoding, options)

    said = encodings_of(source)
    return read_decoded(said, read, _is_plain, str(file)) if said else read(None)


def _is_plain(features: Features) -> bool:
    """Tell whether all text is ASCII."""
    texts = [*features.columns]
    for name in features.rows.columns.drop(features.rows.geometry.name):
        texts += [value for value in features.rows[name] if isinstance(value, str)]
    return all(map(str.isascii, texts))


def _read_layer(
    file: VectorFile,
    source: str,
    layer: str | None,
    setting: str,
    wanted: Sequence[str],
    encoding: str | None,
    options: dict[str, str],
) -> Features:
    chosen = {"layer": layer, "encoding": encoding, **options}
    info = pyogrio.read_info(source, **chosen)
    if info["geometry_type"] is None:
        raise SettingsError(f"{setting} is a file without geometries: {file}.")
    types = dict(zip(map(str, info["fields"]), map(str, info["dtypes"]), strict=True))
    kept = [name for name in dict.fromkeys(wanted) if name in types]
    rows = pyogrio.read_dataframe(
        source, columns=kept, fid_as_index=True, use_arrow=False, **chosen
    )
    exact = [name for name in kept if re.match("u?int|bool", types[name]) and rows[name].hasnans]
    for name in exact:
        # pandas makes decimals of whole numbers, and numbers of yes and no, where some are missing.
        _, table = pyogrio.read_arrow(source, columns=[name], read_geometry=False, **chosen)
        rows[name] = pd.Series(table.column(0).to_pylist(), index=rows.index, dtype=object)
    ids = {"fid", info["fid_column"].lower()} - {""}
    if info["driver"].startswith("GeoJSON"):
        ids.add("id")
    return Features(_flat(rows), tuple(types), frozenset(ids))


def _flat(rows: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    return rows.set_geometry(rows.geometry.force_2d())


def _source(file: VectorFile, setting: str) -> str:
    """Return a path as GDAL opens it; of an archive, that of the one vector file in it."""
    path = str(file.path.absolute())
    if file.suffix != ".zip":
        return path
    found = sorted(set(filter(None, map(_openable, members(file.path)))))
    wanted = _option(file, setting)
    if wanted and len(found) > 1:
        found = [name for name in found if Path(name).stem == wanted]
    if len(found) != 1:
        names = sorted(Path(name).name for name in members(file.path))
        raise SettingsError(
            f"{setting} should be an archive of one vector file, but {file} holds "
            f"{listed(names, 8) or 'nothing'}: unpack it, and name the file to be used."
        )
    return f"/vsizip/{{{path}}}/{found[0]}"


def _openable(member: str) -> str | None:
    """Return the file in an archive that a member is, or the geodatabase that it is in; or None."""
    for place in (*reversed(PurePosixPath(member).parents), PurePosixPath(member)):
        if place.suffix.lower() == ".gdb":
            return str(place)
    return member if Path(member).suffix.lower() in READ - {".zip"} else None


def _option(file: VectorFile, setting: str) -> str | None:
    """Return the name of the layer that a setting asks for."""
    # QGIS adds of which kind the geometries are: others are left out anyway.
    name = re.fullmatch(r"layername=([^|]+)(\|\w*geometrytype=\w+)*", file.options, re.IGNORECASE)
    if file.options and not name:
        raise SettingsError(
            f"{setting} is {file}, but only |layername=NAME may follow the path of a file."
        )
    return name[1] if name else None


def _choose_layer(file: VectorFile, source: str, setting: str) -> str | None:
    """Return the name of the layer that is asked for, or of the one that holds polygons."""
    layers = {str(name): kind for name, kind in pyogrio.list_layers(source) if kind is not None}
    wanted = _option(file, setting)
    if wanted in layers:
        return wanted
    if wanted and not source.startswith("/vsizip/"):
        raise SettingsError(
            f"{setting} asks for the layer {wanted!r}, but {file.path} holds "
            f"{', '.join(layers) or 'no layer with geometries'}."
        )
    if not layers:
        raise SettingsError(f"{setting} is a file without geometries: {file}.")
    if len(layers) == 1:
        return next(iter(layers))
    found = [name for name, kind in layers.items() if _holds_polygons(source, name, kind)]
    if not found:
        kinds = ", ".join(f"{name} ({kind})" for name, kind in layers.items())
        raise SettingsError(f"{setting} holds no polygon: {file} has the layers {kinds}.")
    if len(found) > 1:
        raise SettingsError(
            f"{setting} should be one layer of polygons, but {file} holds {', '.join(found)}: name "
            f"the one to be used, such as {file}|layername={found[0]}."
        )
    return found[0]


def _holds_polygons(source: str, layer: str, kind: str) -> bool:
    """Tell whether a layer of several may be the one that is meant."""
    if "Unknown" not in kind and "Collection" not in kind:
        return "Polygon" in kind or "Surface" in kind
    rows = pyogrio.read_dataframe(source, layer=layer, columns=[], encoding=NO_TEXT)
    return bool(has_area(rows.geometry).any())
