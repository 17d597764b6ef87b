"""A month whose bucket and database answer wrongly, now and then or always."""

import time
from dataclasses import dataclass, replace

from soak.month import Place, check, check_failure
from soak.proxy import proxy
from soak.results import Result, check_described, check_same, recorded, result
from tests.servers.environment import of_bucket, of_database
from tests.servers.swift import Bucket


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
            **of_bucket(bucket.server, before_s3.endpoint),
            **of_database(place.database, before_database.port),
        }
        disturbed = replace(place, settings={**place.settings, **through})
        started = time.monotonic()
        status = disturbed.run()
        seconds = time.monotonic() - started
        faults = before_s3.faults, before_database.faults
        passed = before_s3.passed, before_database.passed
    check_described(place)
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


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
