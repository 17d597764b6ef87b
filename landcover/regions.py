"""Regions that hectares are given for, such as parishes or protected areas: read, and tidied."""

from collections.abc import Mapping, Sequence

import geopandas
import numpy as np
import pandas as pd
import shapely
from shapely.errors import GEOSException

from landcover.errors import SettingsError
from landcover.geometry import reproject_rows, union
from landcover.listing import listed
from landcover.notices import Notice
from landcover.text import as_text
from landcover.vectors import (
    VectorFile,
    are_finite,
    describe_kinds,
    has_area,
    read_features,
    touching,
)

# Columns of names, in any case.
NAME_COLUMNS = ("name", "nombre")

# How many regions a sentence names.
NAMED = 8


def read_regions(file: VectorFile, name_column: str | None) -> geopandas.GeoDataFrame:
    """Read the features of a vector file, and what their regions are called.

    Args:
        file: any that the area of interest may be in.
        name_column: the column that names them; found out if None.

    Returns:
        `name`, as text, and geometries; the index holds what each row is called in the file.

    Raises:
        SettingsError: if it cannot be read, or the column of names is not there or not plain.
    """
    there = read_features(file, "REGIONS").columns
    features = read_features(file, "REGIONS", [name_column] if name_column in there else there)
    rows = features.rows
    texts = {name: name in rows and _is_text(rows[name]) for name in there}
    column = choose_name_column(texts, name_column, str(file))
    names = as_text(rows[column], f"The column {column} of {file}")
    return geopandas.GeoDataFrame({"name": names}, geometry=rows.geometry)


def choose_name_column(columns: Mapping[str, bool], wanted: str | None, where: str) -> str:
    """Return the column that holds the names of regions.

    >>> choose_name_column({"id": False, "Nombre": True, "canton": True}, None, "parishes.gpkg")
    'Nombre'

    Args:
        columns: those that are there, and which of them hold text.
        wanted: the one that REGIONS_NAME_COL names, if any.
        where: the file or table, for messages.

    Raises:
        SettingsError: if it is not there or, where none is named, several may be meant, or none.
    """
    there = ", ".join(columns) or "none (a Shapefile has them in the .dbf beside it)"
    if wanted:
        if wanted not in columns:
            raise SettingsError(
                f"{where} has no column {wanted!r}, which REGIONS_NAME_COL names; its columns are "
                f"{there}."
            )
        return wanted
    named = [name for name in columns if name.lower() in NAME_COLUMNS]
    found = named or [name for name, is_text in columns.items() if is_text]
    if len(found) != 1:
        raise SettingsError(
            f"It is not plain which column of {where} holds the names of the regions: set "
            f"REGIONS_NAME_COL to one of {there}."
        )
    return found[0]


def tidy_regions(
    found: geopandas.GeoDataFrame, where: str
) -> tuple[geopandas.GeoDataFrame, list[Notice]]:
    """Make one valid region of all features of a name, and leave out what is not a region.

    Args:
        found: `name` and geometries, as they were read.
        where: they were read, for messages.

    Returns:
        `name` and geometries of the regions in the order of their names, and what is to be told.

    Raises:
        SettingsError: if none is left.
    """
    there = found[has_area(found.geometry) & are_finite(found.geometry)]
    _check_any(found, there, where)
    has_name = there["name"].notna() & (there["name"] != "")
    unnamed, named = there.index[~has_name], there[has_name]
    if named.empty:
        raise SettingsError(
            f"No region of {where} has a name: set REGIONS_NAME_COL to the column that names them."
        )
    notices = []
    if left := len(found) - len(there):
        notices.append(Notice("regions_no_polygons", {"count": left}))
    if len(unnamed):
        rows = listed(list(unnamed), NAMED)
        notices.append(Notice("regions_unnamed", {"count": len(unnamed), "rows": rows}))
    repeated = named["name"].value_counts(sort=False)
    repeated = repeated[repeated > 1]
    if len(repeated):
        names = listed(sorted(repeated.index), NAMED)
        notices.append(Notice("regions_joined", {"count": len(repeated), "names": names}))
    return _joined(named, where), notices


def part_regions(
    regions: geopandas.GeoDataFrame, aoi: geopandas.GeoSeries, where: str
) -> tuple[geopandas.GeoDataFrame, list[str]]:
    """Part the regions that touch the area of interest from the others.

    The others may lie where the CRS of a map has no place.

    Args:
        regions: `name` and geometries.
        aoi: the area of interest, one geometry.
        where: they were read, for messages.

    Returns:
        The ones, and the names of the others.

    Raises:
        SettingsError: if none touches it.
    """
    near = touching(regions.geometry, aoi)
    if not near.any():
        raise SettingsError(
            f"No region of {where}, which REGIONS names, touches the area of interest: check "
            "REGIONS, its coordinate reference system, and AOI_DEFINITION."
        )
    return regions[near].reset_index(drop=True), regions.loc[~near, "name"].to_list()


def names_under(shapes: geopandas.GeoSeries, regions: geopandas.GeoDataFrame) -> list[list[str]]:
    """Return the names of the regions that each of some polygons has a part in.

    Args:
        shapes: valid polygons, in a CRS.
        regions: `name` and geometries in any CRS.
    """
    outlines, ours = reproject_rows(regions.geometry, shapes.crs).to_numpy(), shapes.to_numpy()
    # Regions may have thousands of corners: each is asked once, of all shapes.
    region, shape = shapely.STRtree(ours).query(outlines, predicate="intersects")
    shapely.prepare(outlines)
    # What merely shares an edge with a region has no part in it.
    inside = ~shapely.touches(outlines[region], ours[shape])
    found: list[list[str]] = [[] for _ in range(len(shapes))]
    names = regions["name"].to_list()
    for number, place in sorted(zip(shape[inside].tolist(), region[inside].tolist(), strict=True)):
        found[number].append(names[place])
    return found


def outside(names: Sequence[str], total: int) -> list[Notice]:
    """Tell of regions without a pixel in the area of interest.

    Args:
        names: theirs.
        total: how many regions there are.
    """
    if not names:
        return []
    shown = {"count": len(names), "total": total, "names": listed(names, NAMED)}
    return [Notice("regions_outside", shown)]


def overlaps(shared: Mapping[tuple[str, str], float]) -> list[Notice]:
    """Tell of regions that overlap.

    Args:
        shared: the hectares that two regions have in common, by their names.
    """
    if not shared:
        return []
    one, other = max(shared, key=shared.__getitem__)
    values = {"count": len(shared), "one": one, "other": other, "hectares": shared[one, other]}
    return [Notice("regions_overlap", values)]


def _is_text(values: pd.Series) -> bool:
    there = values.dropna()
    return len(there) > 0 and all(isinstance(value, str) for value in there)


def _check_any(found: geopandas.GeoDataFrame, there: geopandas.GeoDataFrame, where: str) -> None:
    if not there.empty:
        return
    kinds = describe_kinds(list(found.geometry[~found.geometry.is_empty].geom_type))
    raise SettingsError(
        f"REGIONS should be polygons, but {where} holds {kinds or 'no geometry'}: name a layer of "
        "polygons that have an area."
    )


def _joined(named: geopandas.GeoDataFrame, where: str) -> geopandas.GeoDataFrame:
    """Return a row for each name."""
    valid = named.geometry.make_valid()
    groups = valid.groupby(named["name"].to_numpy(), sort=True)
    shapes = {}
    for name, parts in groups:
        try:
            shapes[str(name)] = union(list(parts))
        except GEOSException as error:
            raise SettingsError(
                f"The region {name} of {where} cannot be made one valid area ({error}): mend it, "
                "such as with QGIS (Fix Geometries)."
            ) from error
    geometry = geopandas.GeoSeries(np.array(list(shapes.values()), dtype=object), crs=named.crs)
    return geopandas.GeoDataFrame({"name": list(shapes)}, geometry=geometry)
