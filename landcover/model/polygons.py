"""Training polygons: checked and mended before they are sampled."""

import hashlib
from itertools import chain

import geopandas
import numpy as np
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from landcover.classes import label_key
from landcover.errors import LandcoverError
from landcover.geometry import polygonal
from landcover.listing import listed

# At most this many polygons are named in a message.
SHOWN = 5


def tidy_polygons(
    found: geopandas.GeoDataFrame, where: str
) -> tuple[geopandas.GeoDataFrame, list[str]]:
    """Check that a forest can be trained on polygons, and mend their geometry.

    Args:
        found: `polygon_id`, `class_label` and geometries, as they were drawn.
        where: the table or file they come from, for messages.

    Returns:
        Valid polygons with unique text ids, the parts of multipolygons each as one; and a sentence
        about each thing that was taken apart, mended or left out.

    Raises:
        LandcoverError: if a polygon has no class, or if there are fewer than two classes.
    """
    ids = found["polygon_id"].astype("string").fillna("none").map(str)
    polygons = found.assign(polygon_id=_unique(ids))
    warnings = _describe_duplicates(ids, where)
    _check_labels(polygons, where)
    polygons, taken_apart = _take_apart(polygons, where)
    warnings += taken_apart
    polygons["class_label"] = polygons["class_label"].map(str).str.strip()
    broken = ~polygons.geometry.is_valid & ~polygons.geometry.isna()
    if broken.any():
        warnings.append(
            f"{_describe(polygons, broken)} of {where} cross themselves and were mended."
        )
    shapes = polygons.geometry.make_valid().map(
        lambda shape: polygonal(shape) if shape is not None else None
    )
    polygons = polygons.set_geometry(geopandas.GeoSeries(shapes, crs=found.crs))
    no_area = polygons.geometry.isna() | polygons.geometry.is_empty
    if no_area.any():
        warnings.append(f"{_describe(polygons, no_area)} of {where} have no area and are left out.")
    polygons = polygons[~no_area].reset_index(drop=True)
    return polygons, warnings + _check_classes(polygons, where)


def digest(polygons: geopandas.GeoDataFrame) -> str:
    """Return a SHA-256 of polygons: it changes with their ids, labels and outlines alone.

    That of their file would change with each version of the libraries that write it.

    Args:
        polygons: as `tidy_polygons` returns them.
    """
    rows = zip(polygons["polygon_id"], polygons["class_label"], polygons.geometry, strict=True)
    lines = [repr((key, label, shape.wkb_hex)) for key, label, shape in rows]
    # The text of a CRS without a code is another once it was written and read.
    return hashlib.sha256(
        "\n".join([f"EPSG {polygons.crs.to_epsg()}", *lines]).encode()
    ).hexdigest()


def _unique(ids: pd.Series) -> pd.Series:
    """Append numbers to ids that several polygons share."""
    while ids.duplicated().any():
        repeats = ids.groupby(ids).cumcount()
        ids = ids.where(repeats == 0, ids + "#" + (repeats + 1).astype(str))
    return ids


def _take_apart(
    polygons: geopandas.GeoDataFrame, where: str
) -> tuple[geopandas.GeoDataFrame, list[str]]:
    """Make each part of a multipolygon a polygon of its own, before mending makes parts of one.

    Tools that dissolve make one multipolygon of all polygons of a class. Of such, no part could be
    held out, and all together would give no more samples than one polygon.
    """
    parts = [_parts(shape) for shape in polygons.geometry]
    counts = np.array([len(its) for its in parts])
    if not (counts > 1).any():
        return polygons, []
    apart = polygons.iloc[np.repeat(np.arange(len(polygons)), counts)].reset_index(drop=True)
    shapes = geopandas.GeoSeries(list(chain.from_iterable(parts)), crs=polygons.crs)
    of = apart.groupby("polygon_id")["polygon_id"]
    numbered = apart["polygon_id"] + "#" + (of.cumcount() + 1).astype(str)
    ids = apart["polygon_id"].where(of.transform("size") == 1, numbered)
    several = pd.Series(counts > 1, index=polygons.index)
    first = polygons.loc[several, "polygon_id"].iloc[0]
    told = (
        f"{_describe(polygons, several)} of {where} have several parts, each of which counts as a "
        f"polygon: {first}#1, {first}#2 and so on."
    )
    return apart.assign(polygon_id=_unique(ids)).set_geometry(shapes), [told]


def _parts(shape: BaseGeometry | None) -> list[BaseGeometry | None]:
    """Return the polygons that a shape is made of; what is one polygon or none stays as it is."""
    flat = shapely.get_parts(shapely.get_parts(shape)) if shape is not None else ()
    parts = [part for part in flat if part.geom_type == "Polygon" and not part.is_empty]
    if shape is None or len(parts) < 2:
        return [shape]
    if shape.is_valid:
        return parts
    # Some programs write a hole as a part within another: mending cuts it out of that.
    mended = shapely.make_valid(parts)
    areas = shapely.area(mended)
    inner, outer = shapely.STRtree(mended).query(mended, predicate="within")
    home = np.arange(len(parts))
    for place in np.argsort(areas[outer]):
        if areas[outer[place]] > areas[inner[place]]:
            home[inner[place]] = outer[place]
    of_each = ([parts[number] for number in np.flatnonzero(home == n)] for n in np.unique(home))
    return [its[0] if len(its) == 1 else shapely.MultiPolygon(its) for its in of_each]


def _describe_duplicates(ids: pd.Series, where: str) -> list[str]:
    twice = sorted(set(ids[ids.duplicated()]))
    if not twice:
        return []
    ids_shown = listed(twice, SHOWN)
    told_apart = f"they are told apart as {twice[0]}#2 and so on."
    return [f"{where} has several polygons with the id {ids_shown}; {told_apart}"]


def _check_labels(polygons: geopandas.GeoDataFrame, where: str) -> None:
    labels = polygons["class_label"]
    blank = labels.isna() | (labels.map(str).map(label_key) == "")
    if blank.any():
        raise LandcoverError(
            f"{_describe(polygons, blank)} of {where} have no class label: "
            "give each a class, or delete it."
        )


def _check_classes(polygons: geopandas.GeoDataFrame, where: str) -> list[str]:
    keys = polygons["class_label"].map(label_key)
    if keys.nunique() < 2:
        names = ", ".join(sorted(set(polygons["class_label"]))) or "none"
        raise LandcoverError(
            f"The {len(polygons)} training polygons of {where} are of one class ({names}): "
            "a model needs polygons of at least two."
        )
    counts = keys.map(keys.value_counts())
    return [
        f"Class {label} has a single polygon: it is trained on, but cannot be validated."
        for label in polygons.loc[counts == 1, "class_label"]
    ]


def _describe(polygons: geopandas.GeoDataFrame, chosen: pd.Series) -> str:
    ids = list(polygons.loc[chosen, "polygon_id"])
    return f"{len(ids)} of {len(polygons)} polygons (id {listed(ids, SHOWN)})"
