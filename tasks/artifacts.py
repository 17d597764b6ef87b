"""What the Prefect UI shows of a run: how far it is, and at its end what came out.

The month does not depend on it: where the server is away, a warning says what is not shown.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.logging import get_run_logger
from upath import UPath

from landcover.files import absolute
from landcover.model.validation import BY_CLASS

if TYPE_CHECKING:
    from landcover.report.pictures import Picture

Item = TypeVar("Item")

# Of a hundred percent: each update is a request to the server.
STEP = 5


def show_progress(items: Iterable[Item], total: int, key: str, doing: str) -> Iterator[Item]:
    """Yield items while an artifact of the run shows how many there have been.

    Args:
        items: to yield.
        total: how many there will be.
        key: of the artifact.
        doing: what is done with them, for people, such as "Predicting".
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
    """Say that an artifact is not shown, where the server cannot be reached, and go on."""
    try:
        yield
    except httpx.HTTPError as error:
        get_run_logger().warning(
            "The Prefect server cannot be asked (%s): its UI does not show %s as it is.",
            str(error) or type(error).__name__,
            key,
        )


def show_summary(month: str, text: str, files: Mapping[str, UPath]) -> None:
    """Show a summary, and where the files are.

    Args:
        month: such as 2025-06.
        text: in Markdown.
        files: what each is, and its path.
    """
    # No links: a browser opens neither s3:// nor, from a server's page, a file of this machine.
    places = [f"- {what}: `{absolute(path)}`" for what, path in files.items()]
    with _unless_away(key := f"summary-{month}"):
        create_markdown_artifact(
            "\n".join([text, "", *places]),
            key=key,
            description="What came out, and where the files are",
        )


def show_accuracy(month: str, metrics: Mapping[str, Any]) -> None:
    """Show the accuracy of each class as a table.

    Args:
        month: such as 2025-06.
        metrics: see `landcover.model.validation.validate`.
    """
    rows = [
        {"class": name, **{measure: _share(line[measure]) for measure in BY_CLASS}}
        | {what: f"{line[what]:,}" for what in ("pixels", "polygons")}
        for name, line in metrics["classes"].items()
    ]
    with _unless_away(key := f"accuracy-{month}"):
        create_table_artifact(rows, key=key, description="On held-out polygons")


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


def show_pictures(month: str, pictures: Mapping[str, "Picture"]) -> None:
    """Show pictures, each as an artifact of its own.

    They are Markdown: of an image artifact the UI prints the whole data URI beneath the picture.

    Args:
        month: such as 2025-06.
        pictures: what each is, and the picture.
    """
    for name, picture in pictures.items():
        with _unless_away(key := f"picture-{name}-{month}"):
            create_markdown_artifact(
                f"![{name}]({picture.small})", key=key, description=picture.alt
            )
