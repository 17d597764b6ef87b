"""A month whose disk fills up: one sentence, and the old files as they were."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from landcover.files import sha256
from soak.month import (
    Place,
    Result,
    check,
    check_failure,
    check_same,
    of_folders,
    recorded,
    result,
)

DISK = 256 * 2**20  # bytes
BALLAST = "ballast"

# Another forest's, so that old files are not those of the month that is tried.
OLD = ("--trees", "5", "--folds", "2")

# Shares of what a month needs that there is room for.
SHARES = (0.0, 0.05, 0.2, 0.5, 0.8, 0.95)

# Seconds between two looks at the disk.
LOOK = 0.005


@dataclass(frozen=True)
class Filled:
    """How a month ended on a disk with too little room.

    Attributes:
        room: how many bytes were free.
        told: the sentence that it ended with; None where the room was enough.
    """

    room: int
    told: str | None


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small disk for as long as the block runs; only root may."""
    folder.mkdir(parents=True)
    options = ["-t", "tmpfs", "-o", f"size={DISK}", "soak", str(folder)]
    if subprocess.run(["mount", *options], check=False).returncode:
        raise RuntimeError("A disk is filled up on a tmpfs, which only root may mount.")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_work(place: Place, wanted: Result, shares: tuple[float, ...] = SHARES) -> list[Filled]:
    """Run a month with less and less room in the work folder.

    Args:
        place: where months are run; the work folder is put on a small disk.
        wanted: what an undisturbed run made.
        shares: of the room that the month needs.

    Raises:
        BrokenPromiseError: if a month fails in another way than by one sentence, spoils old files,
            or does not go on where it was once there is room.
    """
    with small_disk(place.folder / "small work") as disk:
        settings = {**place.settings, "WORK_DIR": str(disk)}
        return _fill(replace(place, settings=settings), disk, wanted, shares)


def fill_results(place: Place, wanted: Result, shares: tuple[float, ...] = SHARES) -> list[Filled]:
    """Run a month with less and less room in the folders of its results; see `fill_work`."""
    with small_disk(place.folder / "small results") as disk:
        settings = {
            **place.settings,
            **of_folders(disk),
            "WORK_DIR": place.settings["WORK_DIR"],
        }
        return _fill(replace(place, settings=settings, data=disk), disk, wanted, shares)


def _fill(place: Place, disk: Path, wanted: Result, shares: tuple[float, ...]) -> list[Filled]:
    old = replace(place, options=OLD)
    old.must_run()
    need = _need(place, disk)
    filled = []
    for share in shares:
        old.must_run()
        before, rows = hashes(place), recorded(place)
        filled.append(run_with_room(place, disk, int(share * need)))
        if filled[-1].told:
            _check_untouched(place, before, rows)
            place.must_run()
        check_same(result(place), wanted)
    return filled


def run_with_room(place: Place, disk: Path, room: int) -> Filled:
    """Run a month while a disk has so many bytes of room.

    Raises:
        BrokenPromiseError: if it fails in another way than by one sentence that names the disk.
    """
    ballast = disk / BALLAST
    ballast.write_bytes(bytes(shutil.disk_usage(disk).free - room))
    status = place.run()
    ballast.unlink()
    return Filled(room, _check_told(place, status, disk) if status else None)


def _need(place: Place, disk: Path) -> int:
    """Return how many bytes a month takes beyond what is there, at its peak."""
    free = shutil.disk_usage(disk).free
    least = free
    over = threading.Event()

    def watch() -> None:
        nonlocal least
        while not over.wait(LOOK):
            least = min(least, shutil.disk_usage(disk).free)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        place.must_run()
    finally:
        over.set()
        watcher.join()
    return free - least


def _check_told(place: Place, status: int, disk: Path) -> str:
    told = check_failure(place, status)
    for words in ("full", str(disk)):
        check(words in told, f"the sentence does not say {words!r}: {told}")
    return told


def _check_untouched(
    place: Place, before: dict[str, str], rows: list[tuple[str, str, object]]
) -> None:
    """Make sure that the map with all that belongs to it is the old one, and nothing is half."""
    after = hashes(place)
    hidden = [name for name in after if Path(name).name.startswith(".")]
    check(not hidden, f"the full disk left {hidden}")
    check(recorded(place) == rows, "the full disk changed the rows of maps")
    of_map = {name for name in before.keys() | after.keys() if _belongs_to_map(name)}
    changed = [name for name in sorted(of_map) if before.get(name) != after.get(name)]
    check(not changed, f"the full disk changed {changed}")


def _belongs_to_map(name: str) -> bool:
    return name.startswith("predictions/")


def hashes(place: Place) -> dict[str, str]:
    """Return the SHA-256 of each file of the results, by path."""
    data = Path(place.data)
    return {
        os.path.relpath(path, data): sha256(path)
        for folder in ("prepared", "models", "predictions")
        for path in (data / folder).rglob("*")
        if path.is_file()
    }


def counts(filled: list[Filled]) -> dict[str, object]:
    """Return the rows of a table."""
    ends = {f"{place.room / 1e6:.1f} MB of room": place.told or "enough" for place in filled}
    return {"runs that ended in one sentence": sum(bool(place.told) for place in filled), **ends}
