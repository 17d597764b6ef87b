"""Events that are counted, so that something is done at a chosen one and not by the clock."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

from soak.proxy import proxy

# A process that is forked while others of its threads hold locks would wait for them for ever.
_SPAWN = multiprocessing.get_context("spawn")

# So many events can be chosen at a time.
MOST = 3


class Events:
    """Events of one kind, one after the other; they may happen in several processes."""

    def __init__(self, act: Callable[[], object] | None = None) -> None:
        """Count from nothing, and choose none.

        Args:
            act: is done at each chosen event, in the process where it happens.
        """
        self._act = act
        self._seen = _SPAWN.Value("i", 0)
        self._chosen = _SPAWN.Array("i", MOST)

    @property
    def seen(self) -> int:
        """How many there were since they were counted anew."""
        return int(self._seen.value)

    @property
    def left(self) -> list[int]:
        """The chosen ones that have not happened yet."""
        return [number for number in self._chosen[:] if number]

    def choose(self, numbers: Sequence[int] = ()) -> None:
        """Choose events by their numbers, the first is 1, instead of those that are left."""
        self._chosen[:] = [*numbers, *[0] * (MOST - len(numbers))]

    def count_anew(self) -> None:
        """Begin with 1 again."""
        self._seen.value = 0

    def happens(self) -> bool:
        """Count an event; return whether it is a chosen one, which it is once."""
        with self._seen.get_lock():
            self._seen.value += 1
            number = int(self._seen.value)
        chosen = number in self.left
        if chosen:
            self.choose([other for other in self.left if other != number])
            if self._act:
                self._act()
        return chosen


@contextmanager
def proxy_apart(upstream: int, answers: Events) -> Iterator[int]:
    """Run a proxy before an S3 server in a process of its own.

    In the process that GDAL opens files in it could not answer: rasterio holds Python's lock until
    an image is open.

    Args:
        upstream: the port of the real server.
        answers: are counted; the chosen ones are cut short.

    Yields:
        The proxy's port.
    """
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(upstream, answers, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield int(ours.recv())
    finally:
        ours.close()
        process.join()


def _serve(upstream: int, answers: Events, parent: Connection) -> None:
    """Serve until the parent closes its end."""
    with proxy(upstream, http=True, cuts=answers.happens) as before:
        parent.send(before.port)
        with suppress(EOFError):
            parent.recv()
