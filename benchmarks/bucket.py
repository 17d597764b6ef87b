"""What a month reads of imagery in a bucket."""

from collections.abc import Mapping
from pathlib import Path

import rasterio
from prefect.server.api.server import SubprocessASGIServer

from benchmarks.month import command, run
from benchmarks.report import Figure
from tests.servers.environment import of_bucket
from tests.servers.swift import Bucket, Request, new_bucket, swift_server

BUCKET = "imagery"


def measure(folder: Path, settings: Mapping[str, str], wanted: str) -> list[Figure]:
    """Put a month's imagery into a bucket, and tell what a month there asks for of it.

    Args:
        folder: holds `quads`, the `images` they show if quads are VRTs, and polygons.
        settings: of the month, but where its imagery is.
        wanted: how much may be read, against the size of the quads.
    """
    with (
        SubprocessASGIServer() as server,
        swift_server() as swift,
        new_bucket(swift, BUCKET) as bucket,
    ):
        _put(folder, bucket)
        sampled, asked = (
            _asked(bucket, flow, folder, settings, server.api_url)
            for flow in ("prepare_data", "monthly")
        )
    return _read(asked, sampled, folder, wanted)


def megabytes(quads: int) -> str:
    """Return what the figure is called that tells how much is read of each of so many quads."""
    return f"megabytes of it a quad, of {quads}"


def _put(folder: Path, bucket: Bucket) -> None:
    for file in (*(folder / "images").iterdir(), *(folder / "quads").iterdir()):
        there = f"{bucket.name}/{file.relative_to(folder)}"
        if file.suffix == ".vrt":
            # It reads what is beside it there.
            text = file.read_text().replace(f"{folder}/", f"/vsis3/{bucket.name}/")
            bucket.filesystem.pipe_file(there, text.encode())
        else:
            bucket.filesystem.put_file(str(file), there)


def _image_of(quad: Path) -> Path:
    with rasterio.open(quad) as dataset:
        return Path(dataset.files[-1])


def _asked(
    bucket: Bucket, flow: str, folder: Path, settings: Mapping[str, str], api: str
) -> list[Request]:
    """Run a flow on imagery in a bucket; return what was asked for of its pixels."""
    there = {"PLANET_MOSAIC_DIR": f"{bucket.url}/quads", **of_bucket(bucket.server)}
    with bucket.counted() as asked:
        run(command(flow), folder, api, {**settings, **there})
    return [request for request in asked if request.method == "GET" and ".tif" in request.path]


def _read(gets: list[Request], sampled: list[Request], folder: Path, wanted: str) -> list[Figure]:
    """Return the figures of what a month asks for, and of what it asks for to sample it."""
    quads = sorted((folder / "quads").iterdir())
    count = len(quads)
    size = blocks = 0
    for quad in quads:
        image = _image_of(quad)
        with rasterio.open(image) as dataset:
            blocks += len(list(dataset.block_windows(1)))
        size += image.stat().st_size
    read, to_sample = (
        sum(request.length or 0 for request in requests) for requests in (gets, sampled)
    )
    return [
        Figure(f"imagery read from a bucket in a month of {count} quads, bytes against their size",
               f"{read / size:.3f}"),
        Figure("the same, but for what prepare_data reads",
               f"{(read - to_sample) / size:.3f}", wanted),
        Figure(megabytes(count), f"{read / count / 1e6:.0f}"),
        Figure("requests for it, against their blocks", f"{len(gets) / blocks:.2f}",
               "at most 1.1"),
    ]  # fmt: skip
