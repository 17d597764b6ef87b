"""A month that is killed at random moments, again and again: always the same map at its end."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from landcover.files import UNFINISHED
from landcover.machine import cores
from soak.disturbances import by_step
from soak.month import MAP, Place, check, ended
from soak.results import (
    Memory,
    Result,
    check_described,
    check_models,
    check_same,
    put_back,
    read,
    recorded,
    result,
    unlike_rows,
)

# So many months for each kill may end before they are killed.
MOST_UNKILLED = 20

# The steps in which windows are in flight.
PREDICTING = ("plan windows", "predicting", "sieving")

# Seconds between two looks at the work folder.
LOOK = 0.01

Piece = tuple[int, int]  # number and time of a file


@dataclass
class Kills:
    """What was done to a month, and what came of it.

    Attributes:
        killed: how often, by the step that the run had last told of.
        between: how often a file was there whose row was not, or the other way round: a kill
            between the two. The next run heals it.
        finished: how many runs came to their end.
        kept: windows that a killed run had finished, and the next one did not predict again.
        lost: windows that were in flight when a run was killed.
        most: of them at once.
    """

    killed: Counter[str] = field(default_factory=Counter)
    between: int = 0
    finished: int = 0
    kept: int = 0
    lost: int = 0
    most: int = 0

    def counts(self) -> dict[str, object]:
        """Return the rows of a table."""
        return {
            "kills": self.killed.total(),
            "by step": by_step(self.killed),
            "between a file and its row": self.between,
            "months finished and equal": self.finished,
            "windows done before a kill, predicted again": 0,
            "windows done before a kill, kept": self.kept,
            "windows in flight, lost": self.lost,
            "most of them at once": self.most,
        }


def kill_months(
    place: Place,
    old: Memory,
    wanted: Result,
    seconds: float,
    kills: int,
    by: Sequence[signal.Signals] = (signal.SIGKILL,),
    seed: int = 1,
) -> Kills:
    """Kill a month at random moments, up to some times in a row, then let it finish.

    Args:
        place: where it is run; its work and results are on this machine.
        old: an earlier month, which is put back before each row of kills.
        wanted: what an undisturbed run made.
        seconds: that it took.
        kills: how many.
        by: which signals, in turn.
        seed: of the moments.

    Raises:
        BrokenPromiseError: if a month is not as it would have been, or a window was predicted
            twice.
    """
    chance = random.Random(seed)  # noqa: S311
    done = Kills()
    while done.killed.total() < kills:
        check(done.finished < MOST_UNKILLED * kills, f"no month was killed:\n{place.said()}")
        put_back(place, old)
        in_a_row = chance.randint(1, 4)
        with watched(Path(str(place.data / "work"))) as pieces:
            for _ in range(min(in_a_row, kills - done.killed.total())):
                moment = chance.uniform(0, seconds)
                turn = by[done.killed.total() % len(by)]
                if not _kill_one(place, old, wanted, moment, turn, done, pieces):
                    break
            before = {path: len(seen) for path, seen in pieces.items()}
            place.must_run()
        check(bool(pieces), f"no window was seen in {place.data / 'work'}")
        _check_once(pieces)
        done.kept += len(before)
        check_same(result(place), wanted)
        done.finished += 1
    return done


def _kill_one(
    place: Place,
    old: Memory,
    wanted: Result,
    moment: float,
    by: signal.Signals,
    done: Kills,
    pieces: dict[Path, set[Piece]],
) -> bool:
    """Kill a run; return whether it was killed before its end.

    Where its month was recorded, the pieces may be gone, and another run makes them anew.
    """
    earlier = recorded(place)
    with ended(place.start()) as process:
        place.wait_for_begin(process)
        time.sleep(moment)
        if process.poll() is None:
            os.kill(process.pid, by)
        status = process.wait()
    # A signal that can be caught ends the run in its own way.
    check(status in {0, -by, 128 + by}, f"the run ended with {status}:\n{place.said()}")
    check("Traceback" not in place.said(), f"a traceback:\n{place.said()}")
    _check_whole(place, old, wanted)
    if by == signal.SIGKILL:
        check_models(place)
        done.between += bool(unlike_rows(place))
    else:
        check_described(place)
    if status == 0:
        _check_once(pieces)
        pieces.clear()
        return False
    done.killed[place.step()] += 1
    lost = _in_flight(place)
    workers = cores()
    check(lost <= workers, f"{lost} windows were in flight on {workers} cores")
    done.lost, done.most = done.lost + lost, max(done.most, lost)
    if recorded(place) != earlier:
        _check_once(pieces)
        pieces.clear()
    return True


def _check_whole(place: Place, old: Memory, wanted: Result) -> None:
    """Make sure that the map is the old one or the new one, and whole."""
    path = place.maps / MAP
    if path.read_bytes() != old.files[f"{path.parent.name}/{MAP}"]:
        different = int((read(path, place.folder) != wanted.codes).sum())
        check(different == 0, f"{different} pixels of the map differ after a kill")


def _in_flight(place: Place) -> int:
    """Count the windows that a killed run had begun: each builds its piece in a folder aside."""
    if place.step() not in PREDICTING:
        return 0
    return len(list(Path(str(place.data / "work")).rglob(f"{UNFINISHED}*")))


def _check_once(pieces: dict[Path, set[Piece]]) -> None:
    """Make sure that no piece was made a second time after it was whole."""
    twice = sorted(path.name for path, seen in pieces.items() if len(seen) > 1)
    check(not twice, f"these windows were done, and were predicted again: {twice}")


@contextmanager
def watched(work: Path) -> Iterator[dict[Path, set[Piece]]]:
    """Note every finished piece that appears in a work folder while the block runs."""
    pieces: dict[Path, set[Piece]] = {}
    over = threading.Event()

    def look() -> None:
        # The month removes files and folders while they are listed.
        with suppress(FileNotFoundError):
            for path in work.glob("*/*/piece_*.tif"):
                if path.parent.name.startswith(UNFINISHED):
                    continue
                found = path.stat()
                pieces.setdefault(path, set()).add((found.st_ino, found.st_mtime_ns))

    def watch() -> None:
        while not over.wait(LOOK):
            look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield pieces
    finally:
        over.set()
        watcher.join()
