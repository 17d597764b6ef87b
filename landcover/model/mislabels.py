"""Polygons one by one: what a model that never saw them says of them, and which it contradicts.

A label that a model trained on other polygons contradicts is either a mistake of whoever drew it,
or a place that the model does not understand: worth a look either way. Labels judged by held-out
probabilities are confident learning (Northcutt et al. 2021, doi:10.1613/jair.1.12125).
"""

from collections.abc import Mapping

import pandas as pd

from landcover.model.held_out import HeldOut

# A polygon is contradicted where at least this share of its pixels is given to one other class.
CONTRADICTED = 0.5


def held_out_by_polygon(
    held_out: HeldOut, polygons: pd.Series, names: Mapping[int, str]
) -> pd.DataFrame:
    """Return what was predicted for each polygon while it was held out.

    Args:
        held_out: predictions for samples.
        polygons: the polygon id of each sample, by row number.
        names: the name of each class code.

    Returns:
        A row a polygon that was held out, in the order of the samples: `polygon_id`, `class_label`
        (the class's name), `pixels`, `fold`, `predicted_label` (of most of its pixels; of the lower
        class code where two tie), `predicted_share` (of its pixels that were given that label, 0 to
        1), `agreement` (share of its pixels that were given its own label), `confidence` (mean
        probability of the classes predicted), `true_confidence` (mean probability of its own
        class).
    """
    pixels = pd.DataFrame(
        {
            "polygon_id": polygons.iloc[held_out.samples].to_numpy(),
            "true": held_out.true,
            "predicted": held_out.predicted,
            "fold": held_out.fold,
            "agrees": held_out.true == held_out.predicted,
            "confidence": held_out.confidence,
            "true_confidence": held_out.true_confidence,
        }
    )
    by_polygon = pixels.groupby("polygon_id", sort=False)
    counts = pixels.groupby(["polygon_id", "predicted"]).size().unstack(fill_value=0)
    votes = counts.reindex(pixels["polygon_id"].unique())
    table = pd.DataFrame(
        {
            "class_label": by_polygon["true"].first().map(names),
            "pixels": by_polygon.size(),
            "fold": by_polygon["fold"].first(),
            "predicted_label": votes.idxmax(axis=1).map(names),
            "predicted_share": votes.max(axis=1) / votes.sum(axis=1),
            "agreement": by_polygon["agrees"].mean(),
            "confidence": by_polygon["confidence"].mean(),
            "true_confidence": by_polygon["true_confidence"].mean(),
        }
    )
    return table.rename_axis("polygon_id").reset_index()


def suspected_mislabels(by_polygon: pd.DataFrame, share: float = CONTRADICTED) -> pd.DataFrame:
    """Return the polygons that the model contradicts, the clearest contradiction first.

    Args:
        by_polygon: what `held_out_by_polygon` returns.
        share: the least share of a polygon's pixels, 0 to 1, that is given to one other class.

    Returns:
        The rows of those polygons, by how little probability the model gives their own class.
    """
    contradicted = (by_polygon["predicted_label"] != by_polygon["class_label"]) & (
        by_polygon["predicted_share"] >= share
    )
    return by_polygon[contradicted].sort_values(
        ["true_confidence", "predicted_share"], ascending=[True, False], ignore_index=True
    )
