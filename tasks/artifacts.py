"""What the Prefect UI shows of a run: its progress, and at its end the results.

The month does not depend on it: if the server cannot be reached, a warning says what is not shown.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pandas
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.logging import get_run_logger
from upath import UPath

from landcover.accuracy.areas import Areas, areas_table
from landcover.accuracy.comparison import Comparison
from landcover.files import absolute
from landcover.model.metrics import ClassMetrics

if TYPE_CHECKING:
    from landcover.report.pictures import Picture

Item = TypeVar("Item")

# In percent. Progress is shown no more often than this, because each update is a request to the
# server.
STEP = 5

# More regions make a page slow; the table on the disk has all.
MOST_REGIONS = 200


def show_progress(items: Iterable[Item], total: int, key: str, doing: str) -> Iterator[Item]:
    """Yield items while an artifact of the run shows how many there have been.

    Args:
        items: what is yielded.
        total: how many there will be.
        key: the artifact's name on the server.
        doing: what is done with them, for people to read, such as "Predicting".
    """
    artifact: Any = None
    shown = 0
    with _unless_away(key):
        artifact = create_progress_artifact(0.0, key=key, description=f"{doing}: 0 of {total}")
    for done, item in enumerate(items, start=1):
        yield item
        percent = 100 * done / total
        if artifact is not None and (percent >= shown + STEP or done == total):
            shown = int(percent)
            with _unless_away(key):
                update_progress_artifact(artifact, percent, f"{doing}: {done} of {total}")


@contextmanager
def _unless_away(key: str) -> Iterator[None]:
    """If the server cannot be reached, log that an artifact is not shown, and go on."""
    try:
        yield
    except httpx.HTTPError as error:
        get_run_logger().warning(
            "The Prefect server cannot be reached (%s): its UI does not show %s as it is.",
            str(error) or type(error).__name__,
            key,
        )


def show_summary(month: str, text: str, files: Mapping[str, UPath]) -> None:
    """Show a summary, and where the files are.

    Args:
        month: such as 2025-06.
        text: in Markdown.
        files: each file's path, by what it is.
    """
    # No links: a browser cannot open s3:// or, from a server's page, a file on this machine.
    places = [f"- {what}: `{absolute(path)}`" for what, path in files.items()]
    with _unless_away(key := f"summary-{month}"):
        create_markdown_artifact(
            "\n".join([text, "", *places]),
            key=key,
            description="The results, and where the files are",
        )


def show_accuracy(month: str, classes: Mapping[str, ClassMetrics]) -> None:
    """Show the accuracy of each class as a table.

    Args:
        month: such as 2025-06.
        classes: the metrics of each class.
    """
    rows = [
        {
            "class": name,
            **{measure: _share(found.value) for measure, found in line.measures.items()},
            "pixels": f"{line.pixels:,}",
            "polygons": f"{line.polygons:,}",
        }
        for name, line in classes.items()
    ]
    with _unless_away(key := f"accuracy-{month}"):
        validated = any(row["f1"] for row in rows)
        told = "On held-out polygons" if validated else "Nothing could be validated"
        create_table_artifact(rows, key=key, description=told)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def show_hectares(month: str, hectares: Mapping[str, float]) -> None:
    """Show the area of each class as a table.

    Args:
        month: such as 2025-06.
        hectares: of each class.
    """
    total = sum(hectares.values())
    rows = [
        {"class": name, "hectares": f"{area:,.1f}", "share": f"{area / total:.1%}"}
        for name, area in hectares.items()
    ]
    with _unless_away(key := f"hectares-{month}"):
        create_table_artifact(rows, key=key, description="True hectares of each class")


def show_months(months: str, rows: Sequence[Mapping[str, str]], told: str) -> None:
    """Show what became of months in a row as a table.

    Args:
        months: such as 2024-01 to 2024-12.
        rows: one a month.
        told: what the table is.
    """
    with _unless_away(key := f"months-{months.replace(' ', '-')}"):
        create_table_artifact([dict(row) for row in rows], key=key, description=told)


def show_alerts(month: str, rows: Sequence[Mapping[str, str]]) -> None:
    """Show the largest alerts as a table.

    Args:
        month: up to which they are known, such as 2025-06.
        rows: one an alert.
    """
    with _unless_away(key := f"alerts-{month}"):
        create_table_artifact([dict(row) for row in rows], key=key, description="Largest alerts")


def show_pictures(month: str, pictures: Mapping[str, "Picture"]) -> None:
    """Show pictures, each as an artifact of its own.

    They are Markdown, because beneath an image artifact the UI prints the whole data URI.

    Args:
        month: such as 2025-06.
        pictures: each picture, by what it shows.
    """
    for name, picture in pictures.items():
        with _unless_away(key := f"picture-{name}-{month}"):
            create_markdown_artifact(
                f"![{name}]({picture.small})", key=key, description=picture.alt
            )


def show_areas(key: str, areas: Areas) -> None:
    """Show estimated areas, and the error matrix, as tables.

    Args:
        key: what the sample is of and when, such as prediction-2025-06.
        areas: what it says.
    """
    rows: list[dict[str, Any]] = [
        {str(column): _figure(str(column), value) for column, value in row.items()}
        for row in areas_table(areas.estimates).to_dict("records")
    ]
    found = areas.estimates
    cells = zip(found.classes, found.counts.tolist(), found.proportions.tolist(), strict=True)
    matrix: list[dict[str, Any]] = [
        {
            "map": name,
            **{
                ground: f"{count} ({share:.2%})"
                for ground, count, share in zip(found.classes, counts, shares, strict=True)
            },
        }
        for name, counts, shares in cells
    ]
    with _unless_away(key):
        create_table_artifact(
            rows, key=f"areas-{key}", description="Areas and accuracies with 95 % intervals"
        )
        create_table_artifact(
            matrix,
            key=f"error-matrix-{key}",
            description="Points, and estimated share of the area, by class on the map and on the "
            "ground",
        )


def show_comparison(label: str, result: Comparison) -> None:
    """Show what came of a comparison as a table.

    Args:
        label: what is compared, such as 2025-06-worldcover.
        result: what came of it.
    """
    rows = [
        {
            "this map": row["this_map"],
            "other map": row["other_map"],
            "hectares": f"{row['hectares']:,.1f}",
            "share": "" if math.isnan(row["share"]) else f"{row['share']:.1%}",
        }
        for row in result.table().to_dict("records")
    ]
    with _unless_away(key := f"comparison-{label}"):
        create_table_artifact(rows, key=key, description="True hectares by what either map says")


def show_regions(key: str, table: pandas.DataFrame) -> None:
    """Show hectares by region as a table.

    Args:
        key: what they were measured on and when, such as prediction-2025-06.
        table: see `landcover.maps.regional.RegionalAreas`.
    """
    regions = table.pivot_table("hectares", "region", "class", sort=False).iloc[:MOST_REGIONS]
    rows: list[dict[str, Any]] = [
        {"region": region, **{str(name): f"{area:,.1f}" for name, area in row.items()}}
        for region, row in regions.iterrows()
    ]
    with _unless_away(key):
        create_table_artifact(rows, key=f"regions-{key}", description="True hectares by region")


def _figure(column: str, value: str | float) -> str:
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return ""
    return f"{value:,.1f}" if column.endswith("_ha") else f"{value:.4f}"
