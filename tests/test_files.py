"""Files: their names, the folders that they are built in, and what a disk refuses."""

import errno
import hashlib
import os
import stat
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import rasterio
from upath import UPath

from landcover.errors import LandcoverError
from landcover.files import (
    NAMES,
    check_writable,
    file_name,
    on_disk,
    remove_unfinished,
    scratch,
    sha256,
)
from landcover.period import Period
from tests.folders import contents
from tests.users import COLLEAGUE, as_user


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


# --- scratch folders ----------------------------------------------------------------------------


def test_work_on_a_full_disk_ends_in_a_sentence_and_is_removed(small_disk: Path) -> None:
    with pytest.raises(LandcoverError, match="is full"), scratch(small_disk / "work") as folder:
        (folder / "a").write_bytes(bytes(2_000_000))
    assert list((small_disk / "work").iterdir()) == []


@pytest.mark.parametrize("where", ["disk", "bucket"])
def test_what_a_killed_run_has_left_is_removed_and_what_is_another_s_stays(
    tmp_path: Path, monkeypatch, where: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    work = {"disk": UPath(tmp_path / "work"), "bucket": UPath("s3://maps/work")}[where]
    others = [work / "202507", UPath("s3://others/work/202506")]
    with scratch(work / "202506") as mine, ExitStack() as running:
        kept = [running.enter_context(scratch(other)) for other in others]
        (mine / "prediction.tif").write_bytes(b"half")
        assert remove_unfinished(work / "202506") == []
        assert not mine.exists()
        assert all(folder.exists() for folder in kept)
        mine.mkdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be another user")
def test_what_a_colleague_s_run_has_left_and_let_nobody_touch_is_told() -> None:
    with tempfile.TemporaryDirectory() as shared:
        work = UPath(shared)
        work.chmod(0o777)
        (work / "unfinished-1").mkdir(mode=0o700)
        (work / "unfinished-1" / "piece.tif").touch()
        with as_user(COLLEAGUE):
            assert remove_unfinished(work) == [work / "unfinished-1"]
        assert remove_unfinished(work) == []


def touch(path: Path) -> None:
    path.touch()


def write_with_gdal(path: Path) -> None:
    rasterio.open(path, "w", "GTiff", 1, 1, 1, dtype="uint8")


@pytest.mark.parametrize("write", [touch, write_with_gdal])
def test_what_the_disk_refuses_is_told_with_what_to_do(
    small_disk: Path, write: Callable[[Path], None]
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    told = rf"{small_disk}.* cannot be used \(Read-only file system\): give this user permission"
    with pytest.raises(LandcoverError, match=told), on_disk(small_disk):
        write(small_disk / "a.tif")


def test_what_another_service_refuses_is_not_taken_for_the_disk_s(tmp_path: Path) -> None:
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    with pytest.raises(ConnectionRefusedError), on_disk(tmp_path):
        raise refused


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
