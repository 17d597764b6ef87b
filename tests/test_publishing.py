"""How finished files get their final names, together with their row."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from upath import UPath

from landcover.errors import LandcoverError
from landcover.files import scratch, sha256
from landcover.grid import Grid
from landcover.maps.pieces import write_piece
from landcover.publishing import (
    BROUGHT,
    EARLIER,
    aside,
    brought,
    check_replaceable,
    drop,
    leftovers,
    publish,
    settle,
)
from tests.folders import contents
from tests.rasters import ORIGIN, class_layer
from tests.users import COLLEAGUE, TEAM, as_user


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
    with pytest.raises(LandcoverError, match=r"nothing\.tif cannot be used"):
        publish(work / "nothing.tif", results / "prediction.tif")
    assert contents(results) == {"prediction.tif": b"old"}


def test_a_file_that_does_not_fit_leaves_the_earlier_one(small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "prediction.tif").write_bytes(b"old")
    built = tmp_path / "prediction.tif"
    built.write_bytes(bytes(2_000_000))
    with pytest.raises(LandcoverError, match=f"The disk of {small_disk} is full: make room on it"):
        publish(built, small_disk / "prediction.tif")
    assert contents(small_disk) == {"prediction.tif": b"old"}
    assert built.exists()


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


def test_a_published_file_is_of_the_folder_s_group_and_mode_whatever_the_user_s_are(
    folders: tuple[Path, Path],
) -> None:
    work, results = folders
    os.chown(results, -1, TEAM)
    results.chmod(0o2775)
    (work / "built.tif").write_bytes(b"map")
    (work / "built.tif").chmod(0o600)
    publish(work / "built.tif", results / "prediction.tif")
    found = (results / "prediction.tif").stat()
    assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (TEAM, 0o664)
    # Another's work is as it was.
    assert stat.S_IMODE((work / "built.tif").stat().st_mode) == 0o600


def test_a_shared_work_folder_can_be_tidied_by_the_whole_team(folders: tuple[Path, Path]) -> None:
    work, _ = folders
    os.chown(work, -1, TEAM)
    work.chmod(0o2770)
    with scratch(work / "202506") as folder:
        for made in (work / "202506", folder):
            assert (made.stat().st_gid, stat.S_IMODE(made.stat().st_mode)) == (TEAM, 0o2770)


# --- together with a row --------------------------------------------------------------------------


@pytest.fixture
def finals(folders: tuple[Path, Path]) -> dict[UPath, UPath]:
    """A new report and map, where there is an earlier map."""
    work, results = map(UPath, folders)
    for name in ("report.html", "prediction.tif"):
        (work / name).write_bytes(b"new")
    (results / "prediction.tif").write_bytes(b"old")
    return {results / name: work / name for name in ("report.html", "prediction.tif")}


# What runs of other months, which may be at work, and other programs have there.
OTHERS = (
    ".collection.json.unfinished",
    ".prediction_stats.tif.unfinished",
    f".writable-{'0' * 32}",
    "report.earlier",
)

NEW = {"report.html": b"new", "prediction.tif": b"new"}
OLD = {"prediction.tif": b"old"}


def test_files_are_brought_before_the_row_is_written_and_only_then_renamed(
    folders: tuple[Path, Path], finals: dict[UPath, UPath]
) -> None:
    _, results = folders
    with brought(finals, lambda: False) as publish_brought:
        assert contents(results) == OLD | {
            ".report.html.unfinished": b"new",
            ".prediction.tif.unfinished": b"new",
            ".prediction.tif.earlier": b"old",
        }
        publish_brought()
    assert contents(results) == NEW


def lose_the_connection(finals: dict[UPath, UPath], *, published: bool, recorded: bool) -> None:
    with brought(finals, lambda: recorded) as publish_brought:
        if published:
            publish_brought()
        raise ConnectionError


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("recorded", [False, True])
def test_what_is_not_recorded_is_taken_back(
    folders: tuple[Path, Path], finals: dict[UPath, UPath], published: bool, recorded: bool
) -> None:
    _, results = folders
    with pytest.raises(ConnectionError):
        lose_the_connection(finals, published=published, recorded=recorded)
    assert contents(results) == (NEW if published and recorded else OLD)


def test_what_could_not_be_put_back_is_still_the_earlier_file_at_the_next_try(
    folders: tuple[Path, Path], finals: dict[UPath, UPath]
) -> None:
    _, results = folders
    (results / "prediction.tif").rename(results / ".prediction.tif.earlier")
    (results / "prediction.tif").write_bytes(b"new")
    with pytest.raises(ConnectionError):
        lose_the_connection(finals, published=True, recorded=False)
    assert contents(results) == OLD


@pytest.fixture
def killed(folders: tuple[Path, Path], finals: dict[UPath, UPath]) -> tuple[UPath, ...]:
    """What a process leaves that was killed after it had renamed, among files of others."""
    _, results = folders
    for final in finals:
        aside(final, BROUGHT).write_bytes(b"half")
        aside(final, EARLIER).write_bytes(b"old")
        final.write_bytes(b"new")
    for others in OTHERS:
        (results / others).write_bytes(b"other")
    return tuple(finals)


@pytest.mark.parametrize("recorded", [b"old", b"new"])
def test_after_a_kill_the_files_are_those_that_the_row_describes_and_others_files_stay(
    folders: tuple[Path, Path], killed: tuple[UPath, ...], tmp_path: Path, recorded: bytes
) -> None:
    _, results = folders
    (tmp_path / "described").write_bytes(recorded)
    digest = sha256(tmp_path / "described")
    left = leftovers(killed)
    back = settle(killed, left, lambda kept: sha256(kept) == digest)
    for path in left:
        drop(path)
    assert back == (list(killed) if recorded == b"old" else [])
    assert contents(results) == {
        "report.html": recorded,
        "prediction.tif": recorded,
        **dict.fromkeys(OTHERS, b"other"),
    }


# --- files that cannot be replaced ----------------------------------------------------------------


def test_a_folder_in_the_place_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "prediction.tif").mkdir()
    with pytest.raises(LandcoverError, match=r"prediction\.tif is a folder, where a file is to be"):
        check_replaceable([UPath(tmp_path / "prediction.tif")])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be another user")
def test_another_s_file_in_a_sticky_folder_is_told_before_hours_of_work() -> None:
    # Not in pytest's own folder, which is this user's alone.
    with tempfile.TemporaryDirectory() as folder:
        final = UPath(folder, "prediction.tif")
        final.write_bytes(b"a colleague's")
        final.parent.chmod(0o1777)
        check_replaceable([final, UPath(folder, "not there.tif")])
        with as_user(COLLEAGUE), pytest.raises(LandcoverError, match="sticky bit"):
            check_replaceable([final])
        final.parent.chmod(0o777)
        with as_user(COLLEAGUE):
            check_replaceable([final])
