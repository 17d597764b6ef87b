"""A month that is disturbed at random moments: servers away, cut or slow; a full disk."""

import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals

from soak.month import LIMIT, Place, check, check_failure, ended
from soak.proxy import Proxy
from soak.results import (
    Memory,
    Result,
    check_described,
    check_same,
    files,
    put_back,
    recorded,
    result,
)
from tests.servers.process import Server, start

# Of an answer that is slow, each half comes so much later.
SLOW = 0.2  # seconds

BALLAST = "ballast"
_PIECE = bytes(2**16)

# For each disturbance, so many months may end before it begins.
MOST_MISSED = 20


@dataclass(frozen=True)
class Disturbance:
    """What is done to a month while it runs.

    Attributes:
        begin: returns a block with which it begins and ends.
        seconds: how long it lasts; to the end of the run if it is None.
        heals: whether the month has to come to its end all the same.
    """

    begin: Callable[[], AbstractContextManager[None]]
    seconds: float | None
    heals: bool = True


@dataclass
class Disturbed:
    """What was done to months, and what came of it.

    Attributes:
        begun: how often, by the step that the run had last told of.
        same: how many runs ended with the map of an undisturbed one.
        told: the sentences that others ended with, and how often.
        missed: runs that ended before they were to be disturbed.
        retries: how often a task was tried again.
        longest: seconds of the longest run.
    """

    begun: Counter[str] = field(default_factory=Counter)
    same: int = 0
    told: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    retries: int = 0
    longest: float = 0

    def counts(self) -> dict[str, object]:
        """Return the rows of a table."""
        return {
            "disturbed": self.begun.total(),
            "by step": by_step(self.begun),
            "ended with the same map": self.same,
            "ended in one sentence, then with the same map": self.told.total(),
            **{f"sentence: {told}": count for told, count in self.told.most_common()},
            "tasks tried again": self.retries,
            "over before they were disturbed": self.missed,
            "seconds of the longest": round(self.longest),
        }


def by_step(counter: Counter[str]) -> str:
    """Return how often each step was met, the most frequent first."""
    return ", ".join(f"{step} {count}" for step, count in counter.most_common())


def disturb_months(
    place: Place,
    old: Memory,
    wanted: Result,
    seconds: float,
    disturbance: Disturbance,
    times: int,
    seed: str = "",
) -> Disturbed:
    """Disturb months at random moments, each over the results of an earlier one.

    Args:
        place: where they are run.
        old: the earlier month, which is put back before each.
        wanted: what an undisturbed run made.
        seconds: that it took.
        disturbance: what is done.
        times: how often.
        seed: of the moments.

    Raises:
        BrokenPromiseError: if a month ends neither with the same map nor, where it cannot, in one
            sentence that changes nothing.
    """
    chance = random.Random(seed)  # noqa: S311
    done = Disturbed()
    while done.begun.total() < times:
        check(done.missed < MOST_MISSED * times, f"no month was disturbed:\n{place.said()}")
        put_back(place, old)
        earlier = recorded(place), files(place)
        started = time.monotonic()
        status, step = _disturb(place, disturbance, chance.uniform(0, seconds))
        done.longest = max(done.longest, time.monotonic() - started)
        if step is None:
            done.missed += 1
            check(status == 0, f"a month ended with {status}:\n{place.said()}")
        else:
            done.begun[step] += 1
        done.retries += place.retries()
        check("Traceback" not in place.said(), f"a traceback:\n{place.said()}")
        check_described(place)
        if status:
            done.told[check_failure(place, status)] += 1
            check(not disturbance.heals, f"the month ended with {status}:\n{place.said()}")
            _check_untouched(place, *earlier)
            place.must_run()
        elif step is not None:
            done.same += 1
        check(recorded(place) != earlier[0], "the month was not recorded anew")
        check_same(result(place), wanted)
    return done


def _disturb(place: Place, disturbance: Disturbance, moment: float) -> tuple[int, str | None]:
    """Run a month and disturb it; return its exit status, and its step where it was still at it."""
    with ended(place.start()) as process:
        place.wait_for_begin(process)
        _wait(process, moment)
        if process.poll() is not None:
            return process.returncode, None
        step = place.step()
        with disturbance.begin():
            _wait(process, disturbance.seconds)
        return process.wait(timeout=LIMIT), step


def _wait(process: subprocess.Popen[bytes], seconds: float | None) -> None:
    """Wait for the end of a run, for some seconds at most."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=LIMIT if seconds is None else seconds)


def _check_untouched(place: Place, rows: list[tuple[object, ...]], before: dict[str, str]) -> None:
    """Make sure that what a failed run has not replaced is as it was, and that nothing is half."""
    after = files(place)
    hidden = [name for name in after if Path(name).name.startswith(".")]
    check(not hidden, f"the failed month left {hidden}")
    if recorded(place) != rows:
        return  # it failed after that
    of_map = {name for name in before.keys() | after.keys() if name.startswith("predictions/")}
    changed = [name for name in sorted(of_map) if before.get(name) != after.get(name)]
    check(not changed, f"the failed month changed {changed}")


# --- what is done ---------------------------------------------------------------------------------


@contextmanager
def stopped(servers: Sequence[Server], by: Signals | None = None) -> Iterator[None]:
    """Stop servers, by their usual signal if none is given, and start them again at the end."""
    for server in servers:
        server.stop(by)
    try:
        yield
    finally:
        start(servers)


@contextmanager
def gone(before: Proxy) -> Iterator[None]:
    """Refuse new connections and reset those that are open, as where a server was stopped."""
    before.go_away()
    try:
        yield
    finally:
        before.come_back()


@contextmanager
def cut(before: Proxy) -> Iterator[None]:
    """Cut all connections that are open, once."""
    before.cut()
    yield


@contextmanager
def slowed(before: Proxy) -> Iterator[None]:
    """Let all answers be slow."""
    before.delay = SLOW
    try:
        yield
    finally:
        before.delay = 0


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Fill a disk."""
    fill(disk)
    try:
        yield
    finally:
        (disk / BALLAST).unlink()


def fill(disk: Path) -> None:
    """Write until a disk is full."""
    with (disk / BALLAST).open("wb", buffering=0) as file, suppress(OSError):
        while file.write(_PIECE):
            pass


DISK = 256 * 2**20  # bytes


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
