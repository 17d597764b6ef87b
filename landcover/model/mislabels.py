"""Suspected mislabels: training polygons whose label a model that never saw them contradicts.

Either the label is a mistake, or the model does not understand the place: it deserves a look either
way. Judging labels by held-out probabilities is known as confident learning (Northcutt et al. 2021,
doi:10.1613/jair.1.12125).
"""

import json
from collections.abc import Mapping

import pandas as pd

from landcover.model.held_out import HeldOut
from landcover.model.metrics import Suspect

# A polygon is contradicted if at least this share of its pixels is given to one other class.
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
        A row for each polygon that was held out, in the order of the samples: `polygon_id`,
        `class_label` (the class's name), `pixels`, `fold`, `predicted_label` (the label given to
        most of its pixels; that of the lower class code where two tie), `predicted_share` (share of
        its pixels that were given that label, 0 to 1), `agreement` (share of its pixels that were
        given its own label), `confidence` (mean probability of the classes predicted),
        `true_confidence` (mean probability of its own class).
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
        share: the smallest share of a polygon's pixels, 0 to 1, that contradicts its label when
            given to one other class.

    Returns:
        The rows of those polygons; first those to whose own class the model gives the lowest
        probability.
    """
    contradicted = (by_polygon["predicted_label"] != by_polygon["class_label"]) & (
        by_polygon["predicted_share"] >= share
    )
    return by_polygon[contradicted].sort_values(
        ["true_confidence", "predicted_share"], ascending=[True, False], ignore_index=True
    )


def suspects(by_polygon: pd.DataFrame) -> tuple[Suspect, ...]:
    """Return the suspected mislabels as the metrics hold them, numbers rounded to four decimals.

    Args:
        by_polygon: what `held_out_by_polygon` returns.
    """
    rows = suspected_mislabels(by_polygon).to_json(orient="records", double_precision=4)
    return tuple(map(Suspect.from_json, json.loads(rows)))
