"""How tasks are tried again."""

import pytest

from landcover.errors import LandcoverError, TransientError
from tasks.retries import TASK_PAUSES, io_task


def test_a_task_is_tried_again_for_two_minutes_with_pauses_of_twice_the_one_before() -> None:
    task = io_task("fetch", "fetch")(lambda: None)
    assert task.retries == len(TASK_PAUSES) == 6
    assert task.retry_delay_seconds == [2, 4, 8, 16, 32, 64]
    assert task.retry_jitter_factor == 0.5


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("failure", "tries"), [(TransientError, 7), (LandcoverError, 1)])
def test_only_what_may_heal_is_tried_again(failure: type[LandcoverError], tries: int) -> None:
    tried = []

    def fail() -> None:
        tried.append(1)
        raise failure("Away.")

    with pytest.raises(failure, match="Away"):
        io_task("fetch", "fetch")(fail)()
    assert len(tried) == tries
