"""How tasks are tried again."""

import pytest

from landcover.errors import LandcoverError, TransientError
from tasks.retries import RETRIES, io_task


def test_a_task_is_tried_again_for_two_minutes_with_pauses_of_twice_the_one_before() -> None:
    task = io_task("fetch", "fetch")(lambda: None)
    assert task.retries == RETRIES
    assert task.retry_delay_seconds == [2, 4, 8, 16, 32, 64]
    assert task.retry_jitter_factor == 0.5


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("failure", "tries"), [(TransientError, RETRIES + 1), (LandcoverError, 1)])
def test_only_what_may_heal_is_tried_again(failure: type[LandcoverError], tries: int) -> None:
    tried = []

    def fail() -> None:
        tried.append(1)
        raise failure("Away.")

    task = io_task("fetch", "fetch")(fail)
    with pytest.raises(failure, match="Away"):
        task.with_options(retry_delay_seconds=0.01, retry_jitter_factor=None)()
    assert len(tried) == tries
