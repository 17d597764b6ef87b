"""What the Prefect UI shows of a run: how far it is, and at its end what came out."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from upath import UPath

from landcover.files import is_local
from landcover.report.pictures import Picture
from landcover.validation import BY_CLASS

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
    artifact: Any = create_progress_artifact(0.0, key=key, description=f"{doing}: {total} in all")
    shown = 0
    for done, item in enumerate(items, start=1):
        yield item
        percent = 100 * done / total
        if percent >= shown + STEP or done == total:
            shown = int(percent)
            update_progress_artifact(artifact, percent, f"{doing}: {done} of {total}")


def show_summary(month: str, text: str, files: Mapping[str, UPath]) -> None:
    """Show a summary, and where the files are.

    Args:
        month: such as 2025-06.
        text: in Markdown.
        files: what each is, and its path.
    """
    links = [f"- {what}: [{path.name}]({_address(path)}) `{path}`" for what, path in files.items()]
    create_markdown_artifact("\n".join([text, "", *links]), key=f"summary-{month}")


def _address(path: UPath) -> str:
    return Path(path).absolute().as_uri() if is_local(path) else str(path)


def show_accuracy(month: str, metrics: Mapping[str, Any]) -> None:
    """Show the accuracy of each class as a table.

    Args:
        month: such as 2025-06.
        metrics: see `landcover.validation.validate`.
    """
    rows = [
        {"class": name, **{measure: line[measure] for measure in BY_CLASS}}
        | {"pixels": line["pixels"], "polygons": line["polygons"]}
        for name, line in metrics["classes"].items()
    ]
    create_table_artifact(rows, key=f"accuracy-{month}", description="On held-out polygons")


def show_hectares(month: str, hectares: Mapping[str, float]) -> None:
    """Show the area of each class as a table.

    Args:
        month: such as 2025-06.
        hectares: of each class.
    """
    total = sum(hectares.values())
    rows = [
        {"class": name, "hectares": area, "share": f"{area / total:.1%}"}
        for name, area in hectares.items()
    ]
    create_table_artifact(rows, key=f"hectares-{month}", description="True hectares of each class")


def show_pictures(month: str, pictures: Mapping[str, Picture]) -> None:
    """Show pictures, each as an artifact of its own.

    They are Markdown: of an image artifact the UI prints the whole data URI beneath the picture.

    Args:
        month: such as 2025-06.
        pictures: what each is, and the picture.
    """
    for name, picture in pictures.items():
        create_markdown_artifact(
            f"![{name}]({picture.small})", key=f"{name}-{month}", description=picture.alt
        )
