"""Pooling: one model that learns from the samples of several months."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
import shapely
from upath import UPath

from landcover.errors import LandcoverError
from landcover.geometry import hulls_of
from landcover.imagery.radiometry import compare, measure
from landcover.model.ground import Together, joined, same_ground
from landcover.model.sampling import Origin
from landcover.notices import Notice
from landcover.period import Period, read_month

Kind = Literal["own", "pool", "all", "model"]

# What --train_on takes.
CHOICES = r"^(own|all|pool:[1-9][0-9]{0,2}|model:[0-9]{4}-(0[1-9]|1[0-2]))$"

Samples = tuple[UPath, pd.DataFrame, Origin]


@dataclass(frozen=True)
class TrainOn:
    """Which months teach the model of a month.

    >>> TrainOn.read("pool:2").reaches(Period(2025, 1), Period(2024, 11))
    True
    >>> TrainOn.read("model:2025-03").month
    Period(year=2025, month=3)
    """

    kind: Kind
    """The month itself, those near it, all that there are, or no new model but an earlier one."""
    within: int | None = None
    """How many months away those near it are at most."""
    month: Period | None = None
    """Whose model maps the month."""

    @classmethod
    def read(cls, text: str) -> "TrainOn":
        """Return the choice that is written, such as own, pool:2, all or model:2025-03.

        Raises:
            ValueError: if it is not one of them.
        """
        if not re.fullmatch(CHOICES, text):
            raise ValueError(
                "write own, pool:2 (the months within 2), all, or model:2025-03 (an earlier model)"
            )
        kind, _, value = text.partition(":")
        if kind == "pool":
            return cls("pool", within=int(value))
        if kind == "model":
            return cls("model", month=read_month(value))
        return cls("all" if kind == "all" else "own")

    @property
    def pools(self) -> bool:
        """Whether a model is trained on several months."""
        return self.kind in {"pool", "all"}

    def reaches(self, month: Period, other: Period) -> bool:
        """Tell whether another month may teach the model of a month."""
        return self.within is None or abs(month.number - other.number) <= self.within


@dataclass(frozen=True)
class Pool:
    """Samples that teach one model."""

    rows: pd.DataFrame
    """A row a sample (see `landcover.model.sampling.read_samples`). Where they are of several
    months, their polygon ids begin with the month, as in "2025-05/17"."""
    origin: Origin
    """What their files say of where they come from, and have in common; the polygons that lie on
    the same ground, of unlike months too."""
    months: pd.Series | None
    """The month of each sample, as text; None where all are of one file."""
    within: Together
    """The ids of the polygons of one month that lie on the same ground."""
    taught_by: Mapping[str, str | None]
    """The SHA-256 of the polygons of each month, where they are known."""


def pool(files: Sequence[Samples], month: Period) -> Pool:
    """Put the samples of months together; those of one file stay as they are.

    Args:
        files: their paths, rows and origins, at least one.
        month: that is mapped, for a file that does not say of which month its samples are.

    Raises:
        LandcoverError: if they cannot teach one model, because their bands, data types, scales or
            coordinate systems are not the same, or it is not known of which months they are.
    """
    (_, rows, origin), *others = files
    if not others:
        taught_by = {origin.month or str(month): origin.polygons_sha256}
        return Pool(rows, origin, None, origin.together or (), taught_by)
    _check_months(files)
    for path, _, other in files[1:]:
        _check_alike(files[0][0], origin, path, other)
    parts = [
        its.assign(polygon_id=its["polygon_id"].map(f"{said.month}/{{}}".format))
        for _, its, said in files
    ]
    counts = [len(part) for part in parts]
    together = pd.concat(parts, ignore_index=True)
    months = pd.Series(np.repeat([said.month for _, _, said in files], counts))
    within = tuple(
        tuple(f"{said.month}/{name}" for name in ids)
        for _, _, said in files
        for ids in said.together or ()
    )
    return Pool(
        together,
        replace(
            origin,
            month=None,
            together=joined([*within, *_recurring(together, origin.pixel)]),
            sampling=_common([said.sampling for _, _, said in files]),
            polygons_sha256={said.month: said.polygons_sha256 for _, _, said in files}.get(
                str(month)
            ),
        ),
        months,
        within,
        {str(said.month): said.polygons_sha256 for _, _, said in files},
    )


def pooling_notices(found: Pool, month: Period) -> tuple[Notice, ...]:
    """Return what is to be told of a model for the sake of the months that taught it.

    Args:
        found: its samples.
        month: that it is for.
    """
    notices = [] if str(month) in found.taught_by else [taught_by_others(found.taught_by)]
    if found.months is not None:
        for name in found.taught_by:
            of_it = (found.months == name).to_numpy()
            bands = found.origin.bands
            ours, theirs = (measure(found.rows[part], bands) for part in (of_it, ~of_it))
            if compare(ours, theirs):
                notices.append(Notice("pooled_unlike", {"month": name}))
    return tuple(notices)


def taught_by_others(taught_by: Mapping[str, object]) -> Notice:
    """Return what is told where no polygon of a month taught the model that maps it.

    Args:
        taught_by: the months whose polygons did, by their names.
    """
    return Notice("taught_by_others", {"months": ", ".join(taught_by)})


def _recurring(rows: pd.DataFrame, pixel: float | None) -> list[tuple[str, ...]]:
    """Return the polygons that lie on the same ground, by the outline of their samples.

    Args:
        rows: of the samples.
        pixel: the side of one; as they are not known of unlike months otherwise, outlines have to
            do, which are larger than polygons that are bent.
    """
    side = pixel or 0.0
    ids, hulls = hulls_of(rows[["x", "y"]].to_numpy(), rows["polygon_id"])
    outlines = shapely.buffer(hulls, side / 2, cap_style="square")
    return [tuple(ids[members]) for members in same_ground(outlines, side)]


def _common(settings: Sequence[Mapping[str, object] | None]) -> Mapping[str, object] | None:
    """Return the settings that all have; None where they differ."""
    return settings[0] if all(found == settings[0] for found in settings) else None


def _check_months(files: Sequence[Samples]) -> None:
    """Make sure that each file is of a month, and each of another."""
    by_month: dict[str, UPath] = {}
    for path, _, origin in files:
        if origin.month is None:
            raise LandcoverError(
                f"{path} does not say of which month its samples are, so they cannot be put "
                "together with others: make them again with python flows/prepare_data.py."
            )
        if origin.month in by_month:
            raise LandcoverError(
                f"{by_month[origin.month]} and {path} both hold samples of {origin.month}: name "
                "each month once."
            )
        by_month[origin.month] = path


def _check_alike(first: UPath, ours: Origin, path: UPath, theirs: Origin) -> None:
    """Make sure that the values of two files mean the same."""
    kinds = {
        "bands": (", ".join(ours.bands), ", ".join(theirs.bands)),
        "data types": (ours.dtype, theirs.dtype),
        "scales": (_scales(ours), _scales(theirs)),
        "coordinate systems": (ours.crs, theirs.crs),
    }
    for what, (one, other) in kinds.items():
        if one is not None and other is not None and one != other:
            raise LandcoverError(
                f"{first.name} and {path.name} cannot teach one model, because the {what} of their "
                f"mosaics differ ({one} and {other}): prepare both months with the same settings "
                "(MOSAIC_BANDS, STATIC_BANDS), from imagery of one kind."
            )


def _scales(origin: Origin) -> str | None:
    """Return what makes the values of each band reflectances, as text; None if it is not known."""
    if origin.reflectances is None:
        return None
    return ", ".join(
        f"{name} x {known.scale:g} + {known.offset:g}"
        for name, known in origin.reflectances.items()
        if known is not None
    )
