"""Alerts: patches of lost forest, each from the month that first detects it, and what comes of it.

A patch becomes an alert in the month in which its pixels, touching, first have the true area of the
smallest alert, and some width (see `landcover.change.patches`). Its date is the month in which most
of them were first detected. From then on it is known by where it is, and keeps its id:

- It *grows* where a later month sees the rest of it, such as what a cloud hid: pixels that touch it
  and are not an alert by themselves join it. What is as large as an alert is one of its own: the
  next month's felling beside this month's.
- It *shrinks* where warnings are withdrawn. Where that cuts it in two, it is the larger part, and
  the rest is looked at as if it were new.
- It is *confirmed* once at least half of it is, and that would be an alert by itself.
- It is *withdrawn* when what is left of it would not be one. It then keeps its last outline, so
  that one can see what was withdrawn.

It grows for as many months as a warning has, and is followed for as many again, until none of its
pixels is under warning; then nothing changes any more.

Patches of one month's first detection alone would be simpler, but clouds and errors of single
months cut clearings into pieces, each too small: `benchmarks/worlds.py` measures both.
"""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID, uuid5

import geopandas
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon

from landcover.change import rule
from landcover.change.dates import DAY_ZERO, months_before, period_of
from landcover.change.patch_kernels import NEW
from landcover.change.patches import outlines, patches_of, with_squares
from landcover.change.rule import NEVER, ChangeSettings, probability
from landcover.geometry import LONLAT, reproject_rows, to_lonlat
from landcover.grid import Grid
from landcover.period import Period, months_between

WARNING, CONFIRMED, WITHDRAWN = "warning", "confirmed", "withdrawn"

# Of the ids of alerts, such as only this program gives.
NAMESPACE = UUID("5f0cdd0b-4f63-5e7e-9d0a-0f1b9a4c2d18")

# As in the table `deforestation_alerts`, but for regions, and for what people write.
ATTRIBUTES = (
    "alert_id",
    "area_ha",
    "state",
    "first_detected",
    "confirmed_on",
    "last_seen",
    "date_start_t0",
    "date_end_t0",
    "date_start_t1",
    "date_end_t1",
    "probability",
    "observations",
    "year",
    "month",
)


def no_alerts() -> geopandas.GeoDataFrame:
    """Return the alerts before the first month: none."""
    return geopandas.GeoDataFrame(
        {name: pd.Series(dtype=object) for name in ATTRIBUTES}, geometry=[], crs=LONLAT
    )


def numbered(
    alerts: geopandas.GeoDataFrame, last: Period | None, settings: ChangeSettings, grid: Grid
) -> geopandas.GeoDataFrame:
    """Return the alerts that stand, in a grid's CRS, with a `number` each.

    Those that may still change are numbered from 1 in their order, the others have -1.

    Args:
        alerts: up to a month.
        last: that month; None where there was none.
        settings: when lost forest is believed.
        grid: of the record.
    """
    standing = alerts[alerts["state"] != WITHDRAWN]
    standing = standing.set_geometry(reproject_rows(standing.geometry, grid.crs))
    over = months_before(last, 2 * settings.within) if last else 0
    day = np.array([(first - DAY_ZERO).days for first in standing["first_detected"]], np.int64)
    return standing.assign(number=np.where(day > over, np.cumsum(day > over), -1))


def update_alerts(
    before: geopandas.GeoDataFrame,
    standing: geopandas.GeoDataFrame,
    runs: pd.DataFrame,
    grid: Grid,
    period: Period,
    settings: ChangeSettings,
) -> geopandas.GeoDataFrame:
    """Return all alerts after one more month.

    Args:
        before: all alerts before it.
        standing: those of them that stand (see `numbered`).
        runs: of the month (see `join_windows`).
        grid: of the record.
        period: the month.
        settings: when lost forest is believed.

    Returns:
        `ATTRIBUTES` and outlines in longitude and latitude, in the order of their first detection.
    """
    followed = before.loc[standing.index[standing["number"] > 0]]
    is_lost = runs["status"].isin([rule.WARNING, rule.CONFIRMED])
    shrunk = runs.loc[~is_lost, "alert"]
    runs = runs[is_lost]
    day = np.array([(first - DAY_ZERO).days for first in followed["first_detected"]], np.int64)
    growing = 1 + np.flatnonzero(day >= months_before(period, settings.within))
    alert, is_new = _assign(runs, growing, settings.smallest_hectares)
    old, new = runs[(alert > 0) & ~is_new], runs[is_new]
    parts = [
        before.drop(index=followed.index),
        _follow(followed, old, alert[old.index], shrunk, grid, period, settings),
        _detect(new, alert[new.index], grid, period, settings),
    ]
    together = pd.concat([part for part in parts if len(part)] or [before])
    together = together.sort_values(["first_detected", "alert_id"], ignore_index=True)
    # Dates that are missing are None in all, not NaN in those that were concatenated.
    for name in ("confirmed_on", "date_start_t0", "date_end_t0"):
        known = together[name].astype(object)
        together[name] = known.where(known.notna(), None)
    return geopandas.GeoDataFrame(together, geometry="geometry", crs=LONLAT)


@dataclass(frozen=True)
class Tally:
    """How many alerts there are, and their hectares."""

    warnings: int
    """Those that are not sure yet."""
    confirmed: int
    """Those that are."""
    withdrawn: int
    """Those that were found to be none."""
    rejected: int
    """Those that people have rejected, whatever the maps say; they count in none of the others."""
    new: int
    """Those that the month brought."""
    new_hectares: float
    """Of those that the month brought."""
    warning_hectares: float
    """Of those that are not sure yet."""
    confirmed_hectares: float
    """Of those that are."""

    @property
    def standing(self) -> int:
        """How many there are, sure or not."""
        return self.warnings + self.confirmed


def counted(alerts: geopandas.GeoDataFrame, rejected: Collection[str]) -> geopandas.GeoDataFrame:
    """Return the alerts that count: neither withdrawn nor rejected by people.

    Args:
        alerts: up to a month.
        rejected: the ids of those that people have rejected.
    """
    return alerts[(alerts["state"] != WITHDRAWN) & ~alerts["alert_id"].isin(list(rejected))]


def tally(
    alerts: geopandas.GeoDataFrame, new: geopandas.GeoDataFrame, rejected: Collection[str]
) -> Tally:
    """Count alerts, and add up their hectares.

    Args:
        alerts: up to a month.
        new: those of them that the month brought.
        rejected: the ids of those that people have rejected.
    """
    standing, brought = counted(alerts, rejected), counted(new, rejected)
    is_sure = standing["state"] == CONFIRMED
    people = alerts["alert_id"].isin(list(rejected))
    return Tally(
        warnings=int((~is_sure).sum()),
        confirmed=int(is_sure.sum()),
        withdrawn=int(((alerts["state"] == WITHDRAWN) & ~people).sum()),
        rejected=int(people.sum()),
        new=len(brought),
        new_hectares=float(brought["area_ha"].sum()),
        warning_hectares=float(standing.loc[~is_sure, "area_ha"].sum()),
        confirmed_hectares=float(standing.loc[is_sure, "area_ha"].sum()),
    )


def hectares_by_month(alerts: geopandas.GeoDataFrame, first: Period, last: Period) -> pd.DataFrame:
    """Return the hectares of alerts by the month that first detected them.

    Args:
        alerts: those that count (see `counted`).
        first: the first month to tell of.
        last: the last.

    Returns:
        A row a month, indexed by it, of `WARNING` and `CONFIRMED` hectares.
    """
    months = months_between(first, last)
    places = pd.MultiIndex.from_product(
        [[month.start for month in months], [WARNING, CONFIRMED]], names=["first_detected", "state"]
    )
    sums = alerts.groupby(["first_detected", "state"])["area_ha"].sum().astype(float)
    by_month: pd.DataFrame = sums.reindex(places, fill_value=0.0).unstack()
    return by_month.set_axis(months)


def new_since(
    alerts: geopandas.GeoDataFrame, before: geopandas.GeoDataFrame
) -> geopandas.GeoDataFrame:
    """Return the alerts that a month brought.

    Args:
        alerts: up to that month.
        before: up to the month before.
    """
    return alerts[~alerts["alert_id"].isin(before["alert_id"])]


def _assign(
    runs: pd.DataFrame, growing: NDArray[np.int64], smallest: float
) -> tuple[pd.Series, pd.Series]:
    """Tell of which alert each run is, as the module says.

    Args:
        runs: of the month.
        growing: the numbers of the alerts that may grow.
        smallest: hectares of the smallest alert.

    Returns:
        The number of an alert, or that of a new one; `NEW` where a run is of none. And whether it
        is of a new one.
    """
    runs = runs.assign(patch=patches_of(runs)[0])
    # An alert that fell apart is its largest part; of several, the first.
    sizes = runs.groupby(["alert", "patch"])["hectares"].sum()
    largest = sizes.groupby("alert").idxmax().map(lambda key: key[1])
    runs.loc[runs["patch"] != runs["alert"].map(largest), "alert"] = NEW
    runs["patch"], runs["beside"] = patches_of(runs)
    unclaimed = runs[runs["alert"] == NEW]
    is_new = runs["patch"].isin(_alerts_in(unclaimed, unclaimed["patch"], smallest))
    is_new &= runs["alert"] == NEW
    beside = runs["beside"].where(runs["beside"].isin(growing)).groupby(runs["patch"])
    joins = beside.transform("min").fillna(NEW).astype(np.int64)
    number = runs["alert"].where(runs["alert"] != NEW, joins)
    return number.where(~is_new, runs["patch"]), is_new


def _detect(
    runs: pd.DataFrame, of: pd.Series, grid: Grid, period: Period, settings: ChangeSettings
) -> geopandas.GeoDataFrame:
    """Return the alerts that a month opens.

    Args:
        runs: of their pixels.
        of: the number of the alert of each run.
        grid: of the record.
        period: the month.
        settings: when lost forest is believed.
    """
    if runs.empty:
        return no_alerts()
    alerts = runs.groupby(of)
    area = alerts["hectares"].sum()
    sure = area.index.isin(_confirmed(runs, of, area, settings.smallest_hectares))
    detected = [period_of(day) for day in _commonest(runs, of, "first")]
    seen = _commonest(runs, of, "forest_seen")
    forest = [period_of(day) if day != NEVER else None for day in seen]
    found = pd.DataFrame(
        {
            "alert_id": _ids(alerts.head(1).groupby(of).first(), period, grid),
            "area_ha": area,
            "state": np.where(sure, CONFIRMED, WARNING),
            "first_detected": [month.start for month in detected],
            "confirmed_on": [period.start if certain else None for certain in sure],
            "last_seen": period.start,
            "date_start_t0": [month and month.start for month in forest],
            "date_end_t0": [month and month.end for month in forest],
            "date_start_t1": [month.start for month in detected],
            "date_end_t1": [month.end for month in detected],
            "probability": _probability(runs, of),
            "observations": 1,
            "year": period.year,
            "month": period.month,
        }
    )
    geometry = _outlines(runs, of, grid)
    return geopandas.GeoDataFrame(found, geometry=geometry, crs=LONLAT)


def _follow(
    before: geopandas.GeoDataFrame,
    runs: pd.DataFrame,
    of: pd.Series,
    shrunk: pd.Series,
    grid: Grid,
    period: Period,
    settings: ChangeSettings,
) -> geopandas.GeoDataFrame:
    """Return what has become of alerts.

    Args:
        before: as they were.
        runs: of their pixels.
        of: the number of the alert of each run, from 1 in the order of these.
        shrunk: the numbers of those that have pixels that are forest again.
        grid: of the record.
        period: the month.
        settings: when lost forest is believed.
    """
    if before.empty:
        return before
    after = before.reset_index(drop=True)
    after.index += 1
    was = after.copy()
    smallest = settings.smallest_hectares
    area = runs["hectares"].groupby(of).sum()
    stands = _alerts_in(runs, of, smallest)
    after.loc[~after.index.isin(stands), "state"] = WITHDRAWN
    runs, of = runs[of.isin(stands)], of[of.isin(stands)]

    grown = of[runs["alert"] != of]
    changed = stands[stands.isin(pd.concat([shrunk, grown]))]
    outline = _outlines(runs[of.isin(changed)], of[of.isin(changed)], grid)
    after.loc[changed, "geometry"] = outline[changed]
    after.loc[changed, "area_ha"] = area[changed]

    sure = _confirmed(runs, of, area, smallest)
    confirmed = sure[(was.loc[sure, "state"] == WARNING).to_numpy()]
    after.loc[confirmed, "state"] = CONFIRMED
    after.loc[confirmed, "confirmed_on"] = period.start

    clear = runs["hectares"].where(runs["is_seen"] == 1, 0.0).groupby(of).sum()
    seen = clear.index[clear >= area[clear.index] / 2]
    after.loc[seen, "observations"] += 1
    after.loc[seen, "last_seen"] = period.start
    after.loc[stands, "probability"] = _probability(runs, of)

    same = (after == was) | (after.isna() & was.isna())
    same["geometry"] = ~after.index.isin(changed)
    after.loc[~same.all(axis=1), ["year", "month"]] = period.year, period.month
    return after


def _alerts_in(runs: pd.DataFrame, of: pd.Series, smallest: float) -> pd.Index:
    """Return the numbers of those that are alerts by themselves: they are large, and not a line.

    Args:
        runs: of their pixels.
        of: a number for each run.
        smallest: hectares of the smallest alert.
    """
    area = runs["hectares"].groupby(of).sum()
    large = area.index[area >= smallest]
    return large[large.isin(with_squares(runs[of.isin(large)], of[of.isin(large)]))]


def _confirmed(runs: pd.DataFrame, of: pd.Series, area: pd.Series, smallest: float) -> pd.Index:
    """Return the numbers of the alerts that are confirmed.

    Args:
        runs: of their pixels.
        of: the number of the alert of each run.
        area: hectares by number.
        smallest: hectares of the smallest alert.
    """
    sure = runs[runs["status"] == rule.CONFIRMED]
    sure_area = sure["hectares"].groupby(of).sum()
    large = _alerts_in(sure, of[sure.index], smallest)
    return large[sure_area[large] >= area[large] / 2]


def _outlines(runs: pd.DataFrame, of: pd.Series, grid: Grid) -> geopandas.GeoSeries:
    """Return outlines in longitude and latitude by the number of the alert."""
    found = geopandas.GeoSeries(outlines(runs, of, grid), crs=grid.crs)
    lonlat = reproject_rows(found, LONLAT).sort_index()
    several = [MultiPolygon(shapely.get_parts(outline).tolist()) for outline in lonlat]
    return geopandas.GeoSeries(several, index=lonlat.index, crs=LONLAT)


def _ids(first: pd.DataFrame, period: Period, grid: Grid) -> list[str]:
    """Return an id for each new alert: what the month and the place of its first pixel make it.

    Args:
        first: the first run of each.
        period: the month that opens them.
        grid: of the record; another of the same lattice gives the same ids.
    """
    xs, ys = grid.transform @ np.stack([first["start"] + 0.5, first["row"] + 0.5])
    places = zip(*to_lonlat(grid.crs).transform(xs, ys), strict=True)
    return [str(uuid5(NAMESPACE, f"{period} {lon:.6f} {lat:.6f}")) for lon, lat in places]


def _probability(runs: pd.DataFrame, of: pd.Series) -> NDArray[np.float64]:
    """Return the probability of loss of each alert, by the mean log odds of its pixels."""
    pixels = (runs["stop"] - runs["start"]).groupby(of).sum()
    mean = runs["log_odds"].astype(np.int64).groupby(of).sum() / pixels
    return probability(mean.to_numpy()).round(6)


def _commonest(runs: pd.DataFrame, of: pd.Series, column: str) -> pd.Series:
    """Return the value that most pixels of each alert have; of several, the latest."""
    pixels = (runs["stop"] - runs["start"]).groupby([of.rename("alert"), runs[column]]).sum()
    ranked = pixels.reset_index(name="pixels").sort_values(["alert", "pixels", column])
    return ranked.groupby("alert")[column].last()
