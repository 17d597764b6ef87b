"""What the processes of one test session share: made by the first to ask, under a lock."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock among processes while the block runs; it ends with a process that is killed."""
    with path.open("a") as file:
        fcntl.flock(file, how)
        try:
            yield
        finally:
            # A child that was forked meanwhile would hold it on.
            fcntl.flock(file, fcntl.LOCK_UN)


def made_once(path: Path, make: Callable[[Path], object]) -> Path:
    """Return a file or folder that the session's first process to ask for it makes.

    Args:
        path: where it is to be.
        make: makes it there.
    """
    made = path.with_name(f"{path.name}.made")
    with locked(path.with_name(f"{path.name}.lock")):
        if not made.exists():
            make(path)
            made.touch()
    return path


@contextmanager
def shared_server(
    folder: Path, name: str, start: Callable[[], AbstractContextManager[str]]
) -> Iterator[str]:
    """Use the session's only server of a kind.

    The first process to ask starts it and, once no process uses it any longer, ends it.

    Args:
        folder: the session's, which all of its processes see.
        name: of the server.
        start: runs it as long as its block does, and yields its description.

    Yields:
        The description.
    """
    described, starting, users = (
        folder / f"{name}.{what}" for what in ("address", "starting", "users")
    )
    with ExitStack() as owned, ExitStack() as used:
        with locked(starting):
            if not described.exists():
                written = owned.enter_context(start())
                owned.enter_context(_announced(described, written, starting, users))
            used.enter_context(locked(users, fcntl.LOCK_SH))
        yield described.read_text()


@contextmanager
def _announced(described: Path, written: str, starting: Path, users: Path) -> Iterator[None]:
    """Let other processes find the server, and leave the block only when none uses it."""
    described.write_text(written)
    try:
        yield
    finally:
        # Whoever asks from now on starts a server of their own.
        with locked(starting), locked(users):
            described.unlink()
