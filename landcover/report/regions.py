"""The pages' section about regions: hectares of each class, or loss and alerts, in each of them.

It has its place in each page, where it is put, and put anew when regions change, without the page
being drawn again.
"""

from collections.abc import Callable, Mapping

import pandas as pd

from landcover.change import annual_map
from landcover.change.record import LEGEND
from landcover.change.rule import CONFIRMED, FOREST, NON_FOREST, NOT_KNOWN, WARNING
from landcover.maps.regional import ALL_FOREST, NO_DATA, NO_IMAGERY, RegionalAreas
from landcover.report.page import template
from landcover.report.wording import NONE, Language, Wording

# Between them a page has the section.
BEGIN, END = "<!-- regions -->", "<!-- /regions -->"

# A page shows no more regions, the largest or those of most loss.
MOST_SHOWN = 60

# The heading of a column, and what it shows of a region.
Column = tuple[str, Callable[[str], str]]


def section_of(areas: RegionalAreas, of: str, file: str, language: Language) -> str:
    """Return the section about regions as HTML.

    Args:
        areas: what a raster says of regions.
        of: what the raster is: prediction, deforestation, or forest of a year.
        file: the name of the table that has all of them.
        language: of texts and numbers.
    """
    wording, is_loss = Wording(language), of == "deforestation"
    hectares = areas.table.pivot(index="region", columns="class", values="hectares")
    order = _by_loss(hectares) if is_loss else _largest(hectares)
    columns = _COLUMNS[of](areas.table, hectares, wording)
    shown = order[:MOST_SHOWN]
    more = wording.say(
        "regions_more",
        shown=wording.number(len(shown)),
        total=wording.number(len(order)),
        file=file,
    )
    notes = [
        wording.say("regions_note", source=areas.source),
        *([wording.say("regions_alerts_note")] if is_loss else []),
        *([more] if len(shown) < len(order) else []),
    ]
    return template("regions.html.j2").render(
        say=wording.say,
        caption=wording.say(_CAPTIONS[of]),
        headings=[heading for heading, _ in columns],
        rows=[(name, [write(name) for _, write in columns]) for name in shown],
        notes=notes,
        notices=[wording.warning(notice) for notice in areas.notices],
    )


def _whole(hectares: pd.DataFrame) -> pd.Series:
    """Return the hectares of each region in the area of interest."""
    whole: pd.Series = hectares.drop(columns=ALL_FOREST, errors="ignore").sum(axis=1)
    return whole


def _largest(hectares: pd.DataFrame) -> list[str]:
    """Return the largest regions that are shown, in the order of their names, then the others."""
    order = _whole(hectares).sort_values(ascending=False, kind="stable").index
    return [*sorted(order[:MOST_SHOWN], key=str.casefold), *order[MOST_SHOWN:]]


def _by_loss(hectares: pd.DataFrame) -> list[str]:
    lost = hectares[[LEGEND.names[CONFIRMED], LEGEND.names[WARNING]]].sum(axis=1)
    return list(lost.sort_values(ascending=False, kind="stable").index)


def _map_columns(table: pd.DataFrame, hectares: pd.DataFrame, wording: Wording) -> list[Column]:
    whole = _whole(hectares)
    columns = [(wording.say("regions_area"), _writer(whole, wording.hectares))]
    forest = hectares.get(ALL_FOREST)
    if forest is not None:
        columns += [
            (wording.say("regions_forest"), _writer(forest, wording.hectares)),
            (wording.say("regions_forest_share"), _writer(forest / whole, wording.percent)),
        ]
    for name in table["class"].drop_duplicates():
        found = hectares[name]
        # The class is all the forest that there is, or on none of the regions.
        if name in (ALL_FOREST, NO_IMAGERY) or not found.any() or found.equals(forest):
            continue
        heading = wording.say("regions_of", name=wording.class_name(name))
        columns.append((heading, _writer(found, wording.hectares)))
    if NO_IMAGERY in hectares:
        none = _writer(hectares[NO_IMAGERY], wording.hectares)
        columns.append((wording.say("regions_no_imagery"), none))
    return columns


def _year_columns(_table: pd.DataFrame, hectares: pd.DataFrame, wording: Wording) -> list[Column]:
    whole, names = _whole(hectares), annual_map.LEGEND.names
    forest = hectares[names[FOREST]]
    known, share = whole - hectares[NO_DATA], forest / whole
    others = {NON_FOREST: names[NON_FOREST], annual_map.NO_DATA: NO_DATA}
    return [
        (wording.say("regions_area"), _writer(whole, wording.hectares)),
        (wording.say("regions_forest"), _writer(forest, wording.hectares)),
        # Of land that is not known, 0 % would say that none of it is forest.
        (wording.say("regions_forest_share"), _writer(share.where(known > 0), wording.percent)),
        *(
            (
                wording.say("regions_of", name=wording.say(f"annual_class_{code}")),
                _writer(hectares[name], wording.hectares),
            )
            for code, name in others.items()
        ),
    ]


def _loss_columns(table: pd.DataFrame, hectares: pd.DataFrame, wording: Wording) -> list[Column]:
    columns = [(wording.say("regions_area"), _writer(_whole(hectares), wording.hectares))]
    for code in (FOREST, CONFIRMED, WARNING, NOT_KNOWN):
        heading = wording.say("regions_of", name=wording.say(f"loss_status_{code}"))
        columns.append((heading, _writer(hectares[LEGEND.names[code]], wording.hectares)))
    alerts = table.pivot(index="region", columns="class", values="alerts")
    for key, code in (("confirmed", CONFIRMED), ("warning", WARNING)):
        counted = alerts[LEGEND.names[code]]
        columns.append((wording.say(f"regions_alerts_{key}"), _writer(counted, wording.number)))
    return columns


def _writer(values: pd.Series, write: Callable[[float], str]) -> Callable[[str], str]:
    """Return what writes the value of a region."""
    return lambda name: NONE if pd.isna(values[name]) else write(float(values[name]))


_COLUMNS: Mapping[str, Callable[[pd.DataFrame, pd.DataFrame, Wording], list[Column]]] = {
    "prediction": _map_columns,
    "deforestation": _loss_columns,
    "forest": _year_columns,
}
_CAPTIONS: Mapping[str, str] = {
    "prediction": "regions_caption",
    "deforestation": "regions_loss_caption",
    "forest": "regions_year_caption",
}
