"""Files: their names, and how a finished one gets its name."""

import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from landcover.errors import LandcoverError
from landcover.files import (
    NAMES,
    check_writable,
    file_name,
    scratch,
    sha256,
)
from landcover.grid import Grid
from landcover.maps.pieces import write_piece
from landcover.period import Period
from landcover.publishing import publish
from tests.rasters import ORIGIN, class_layer


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("year", "month", "text"), [(2025, 6, "202506"), (2025, 12, "202512"), (1999, 1, "199901")]
)
def test_files_are_named_after_their_month(year: int, month: int, text: str) -> None:
    named = {what: file_name(what, Period(year, month)) for what in NAMES}
    assert named["samples"] == f"prepared_data_{text}.parquet"
    assert named["model"] == f"rf_model_{text}.joblib"
    assert named["map"] == f"prediction_{text}.tif"
    assert named["confidence"] == f"confidence_{text}.tif"
    assert named["report"] == f"report_{text}.html"
    assert named["item"] == f"prediction_{text}.json"
    assert len(set(named.values())) == len(NAMES)


# --- publishing -----------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of work and one of results."""
    work, results = tmp_path / "work", tmp_path / "results"
    work.mkdir()
    results.mkdir()
    return work, results


def test_a_published_file_has_its_final_name_and_can_be_published_again(
    folders: tuple[Path, Path],
) -> None:
    work, results = folders
    (work / "built.tif").write_bytes(b"map")
    for _ in range(2):
        publish(work / "built.tif", results / "prediction.tif")
        assert contents(results) == {"prediction.tif": b"map"}
        assert contents(work) == {"built.tif": b"map"}


def test_a_published_file_replaces_an_earlier_one(folders: tuple[Path, Path]) -> None:
    work, results = folders
    (results / "prediction.tif").write_bytes(b"old")
    (results / ".prediction.tif.unfinished").write_bytes(b"left by a run that was cut short")
    (work / "prediction.tif").write_bytes(b"new")
    publish(work / "prediction.tif", results / "prediction.tif")
    assert contents(results) == {"prediction.tif": b"new"}


def test_a_file_is_published_within_its_folder(tmp_path: Path) -> None:
    (tmp_path / "built").write_bytes(b"map")
    publish(tmp_path / "built", tmp_path / "final")
    assert contents(tmp_path) == {"built": b"map", "final": b"map"}


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than the tests' own."""
    for base in (Path("/dev/shm"), Path("/run"), Path.home()):
        if (
            base.is_dir()
            and base.stat().st_dev != tmp_path.stat().st_dev
            and os.access(base, os.W_OK)
        ):
            folder = Path(tempfile.mkdtemp(dir=base))
            yield folder
            shutil.rmtree(folder)
            return
    pytest.skip("there is no second file system here")


def test_a_file_is_published_to_another_disk(other_disk: Path, tmp_path: Path) -> None:
    for source, target in ((tmp_path, other_disk), (other_disk, tmp_path)):
        (source / "built").write_bytes(b"map")
        publish(source / "built", target / "final")
        assert (target / "final").read_bytes() == b"map"
        assert not list(target.glob(".*"))
        (target / "final").unlink()
        (source / "built").unlink()


def test_readers_see_the_whole_old_or_the_whole_new_file_and_never_none(
    folders: tuple[Path, Path],
) -> None:
    work, results = folders
    final = results / "prediction.tif"
    final.write_bytes(b"0" * 200_000)

    def publish_many() -> None:
        for number in range(1, 60):
            built = work / f"built_{number}.tif"
            built.write_bytes(str(number % 10).encode() * 200_000)
            publish(built, final)

    publisher = Thread(target=publish_many)
    publisher.start()
    seen = []
    while publisher.is_alive():
        seen.append(final.read_bytes())
    publisher.join()
    assert seen
    assert all(len(read) == 200_000 and len(set(read)) == 1 for read in seen)


def test_a_file_that_cannot_be_published_leaves_the_earlier_one(
    folders: tuple[Path, Path],
) -> None:
    work, results = folders
    (results / "prediction.tif").write_bytes(b"old")
    with pytest.raises(FileNotFoundError):
        publish(work / "nothing.tif", results / "prediction.tif")
    assert contents(results) == {"prediction.tif": b"old"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_file_that_does_not_fit_leaves_the_earlier_one(small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "prediction.tif").write_bytes(b"old")
    built = tmp_path / "prediction.tif"
    built.write_bytes(bytes(2_000_000))
    with pytest.raises(LandcoverError, match=f"The disk of {small_disk} is full: make room on it"):
        publish(built, small_disk / "prediction.tif")
    assert contents(small_disk) == {"prediction.tif": b"old"}
    assert built.exists()


def test_work_on_a_full_disk_ends_in_a_sentence_and_is_removed(small_disk: Path) -> None:
    with pytest.raises(LandcoverError, match="is full"), scratch(small_disk / "work") as folder:
        (folder / "a").write_bytes(bytes(2_000_000))
    assert list((small_disk / "work").iterdir()) == []


def test_a_raster_that_gdal_could_not_write_whole_is_not_published(
    small_disk: Path, tmp_path: Path
) -> None:
    codes = np.random.default_rng(0).integers(0, 250, (2048, 2048), dtype=np.uint8)
    grid = Grid("EPSG:3857", ORIGIN, 2048, 2048)

    def write_and_publish() -> None:
        with scratch(small_disk) as folder:
            write_piece(class_layer(), codes, grid, [], folder / "a.tif")
            publish(folder / "a.tif", tmp_path / "a.tif")

    with pytest.raises(LandcoverError, match="is full"):
        write_and_publish()
    assert not (tmp_path / "a.tif").exists()


# --- writable folders -----------------------------------------------------------------------------


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    check_writable(tmp_path / "data" / "models", "MODEL_OUTPUT_DIR")
    assert (tmp_path / "data" / "models").is_dir()
    assert list((tmp_path / "data" / "models").iterdir()) == []


def test_a_folder_that_takes_files_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"model")
    check_writable(tmp_path, "MODEL_OUTPUT_DIR")
    assert contents(tmp_path) == {"model": b"model"}


@pytest.mark.parametrize("below", ["", "deeper", "deeper/still"])
def test_a_path_under_a_file_is_refused_with_the_setting_s_name(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_bytes(b"x")
    folder = tmp_path / "file" / below
    with pytest.raises(LandcoverError) as caught:
        check_writable(folder, "PREDICTION_OUTPUT_DIR")
    message = str(caught.value)
    assert message.startswith(f"PREDICTION_OUTPUT_DIR cannot be written: {folder} (")
    assert "set another folder" in message
    assert (tmp_path / "file").read_bytes() == b"x"


def test_a_file_system_that_takes_no_files_is_refused() -> None:
    with pytest.raises(LandcoverError, match="WORK_DIR cannot be written: /proc"):
        check_writable(Path("/proc"), "WORK_DIR")
    with pytest.raises(LandcoverError, match="WORK_DIR cannot be written: /proc/data"):
        check_writable(Path("/proc/data"), "WORK_DIR")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(LandcoverError, match="Permission denied"):
        check_writable(tmp_path, "WORK_DIR")


# --- digests --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "digest"),
    [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ],
)
def test_the_digest_of_a_file_is_its_sha_256(tmp_path: Path, content: bytes, digest: str) -> None:
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == digest


def test_the_digest_of_a_file_larger_than_a_buffer_is_that_of_all_of_it(tmp_path: Path) -> None:
    content = os.urandom(3_000_001)
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()
