"""A month whose bucket and database answer wrongly, or are away for a while."""

import time
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from soak.month import (
    BrokenPromiseError,
    Place,
    Result,
    check,
    check_failure,
    check_same,
    ended,
    of_bucket,
    of_database,
    recorded,
    result,
)
from soak.proxy import Proxy, proxy
from tests.servers.swift import Bucket

# What tells that a month is in its middle.
MIDDLE = "samples written to"


@dataclass(frozen=True)
class Faults:
    """What was done to a month.

    Attributes:
        counts: the rows of a table.
        faults: how many answers were faulty.
    """

    counts: dict[str, object]
    faults: int


def faulty_month(
    place: Place,
    bucket: Bucket,
    wanted: Result | None,
    *,
    rate_s3: float = 0,
    rate_database: float = 0,
    stall: float,
    seed: int = 1,
) -> Faults:
    """Run a month through proxies before bucket and database.

    Args:
        place: where it is run; imagery, results and work are in the bucket.
        bucket: on the real server.
        wanted: what an undisturbed run made; None where the run has to fail.
        rate_s3: the share of faulty answers of the bucket.
        rate_database: the share of faulty connections to the database.
        stall: how many seconds a stalled answer hangs.
        seed: of what is faulty.

    Raises:
        BrokenPromiseError: if the month is not as it would have been, or fails in another way than
            by one sentence.
    """
    s3, database = int(bucket.server.endpoint.rpartition(":")[2]), place.database.port
    assert database
    earlier = recorded(place)
    with (
        proxy(s3, http=True, rate=rate_s3, stall=stall, seed=seed) as before_s3,
        proxy(database, http=False, rate=rate_database, seed=seed) as before_database,
    ):
        through = {
            **of_bucket(bucket, before_s3.endpoint),
            **of_database(place.database, before_database.port),
        }
        disturbed = replace(place, settings={**place.settings, **through})
        started = time.monotonic()
        status = disturbed.run()
        seconds = time.monotonic() - started
        faults = before_s3.faults, before_database.faults
        passed = before_s3.passed, before_database.passed
    if wanted:
        check(status == 0, f"the month ended with {status}:\n{disturbed.said()}")
        check(recorded(place) != earlier, "the month was not recorded anew")
        check_same(result(place), wanted)
        told = "none"
    else:
        told = check_failure(disturbed, status)
        check(recorded(place) == earlier, "a failed month changed the rows of maps")
    counts = {
        "S3 answers sound": passed[0],
        "S3 answers faulty": f"{faults[0].total()} ({_list(faults[0])})",
        "database connections sound": passed[1],
        "database connections faulty": f"{faults[1].total()} ({_list(faults[1])})",
        "tasks tried again": disturbed.retries(),
        "failure": told,
        "seconds": round(seconds),
    }
    return Faults(counts, faults[0].total() + faults[1].total())


def database_away(place: Place, wanted: Result, seconds: float) -> Faults:
    """Take the database away in the middle of a month, and bring it back.

    Args:
        place: where it is run.
        wanted: what an undisturbed run made.
        seconds: how long the database is away.

    Raises:
        BrokenPromiseError: if the month does not come to its end.
    """
    assert place.database.port
    with proxy(place.database.port, http=False) as before:
        through = of_database(place.database, before.port)
        disturbed = replace(place, settings={**place.settings, **through})
        return _away(disturbed, before, wanted, seconds)


def api_away(place: Place, wanted: Result, seconds: float) -> Faults:
    """Take the Prefect server away in the middle of a month, and bring it back.

    Args:
        place: where it is run.
        wanted: what an undisturbed run made.
        seconds: how long the server is away.

    Raises:
        BrokenPromiseError: if the month does not come to its end.
    """
    port = urlsplit(place.api).port
    assert port
    with proxy(port, http=False) as before:
        disturbed = replace(place, api=place.api.replace(str(port), str(before.port)))
        return _away(disturbed, before, wanted, seconds)


def _away(disturbed: Place, before: Proxy, wanted: Result, seconds: float) -> Faults:
    """Take away what is behind a proxy while a month is in its middle."""
    earlier = recorded(disturbed)
    started = time.monotonic()
    with ended(disturbed.start()) as process:
        while MIDDLE not in disturbed.said():
            if process.poll() is not None:
                raise BrokenPromiseError(f"it ended too early:\n{disturbed.said()}")
            time.sleep(0.1)
        before.go_away()
        time.sleep(seconds)
        check(process.poll() is None, f"it did not wait:\n{disturbed.said()}")
        before.come_back()
        status = process.wait()
    taken = time.monotonic() - started
    check(status == 0, f"the month ended with {status}:\n{disturbed.said()}")
    check("Traceback" not in disturbed.said(), f"a traceback:\n{disturbed.said()}")
    check(recorded(disturbed) != earlier, "the month was not recorded anew")
    check_same(result(disturbed), wanted)
    counts = {
        "seconds away": round(seconds),
        "tasks tried again": disturbed.retries(),
        "seconds": round(taken),
    }
    return Faults(counts, 0)


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
