"""Training polygons: checked and mended before they are sampled."""

import geopandas
import pandas as pd

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
        Valid polygons with unique text ids; and a sentence about each thing that was mended or left
        out.

    Raises:
        LandcoverError: if a polygon has no class, or if there are fewer than two classes.
    """
    ids = found["polygon_id"].astype("string").fillna("none").map(str)
    polygons = found.assign(polygon_id=_unique(ids))
    warnings = _describe_duplicates(ids, where)
    _check_labels(polygons, where)
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


def _unique(ids: pd.Series) -> pd.Series:
    """Append numbers to ids that several polygons share."""
    while ids.duplicated().any():
        repeats = ids.groupby(ids).cumcount()
        ids = ids.where(repeats == 0, ids + "#" + (repeats + 1).astype(str))
    return ids


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
