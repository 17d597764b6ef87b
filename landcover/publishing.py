"""How finished files get their final names: at once and whole, together with the row of a table.

A file is first brought to the folder of its final name, under a hidden one, and flushed. That may
take an hour; what follows is renames. Where a row describes the files, the earlier ones are kept
aside until it is committed, and put back where it is not.
"""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from upath import UPath

from landcover.errors import LandcoverError
from landcover.files import is_full, is_local, make_folder, no_room, on_disk, take_mode

Place = TypeVar("Place", Path, UPath)

BROUGHT, EARLIER = "unfinished", "earlier"


def publish(built: Path | UPath, final: UPath) -> None:
    """Let a finished file appear under its final name, at once and whole, for an earlier one.

    Args:
        built: the finished file. It stays where it is, so that what failed can be tried again.
        final: the path under which others look for it.

    Raises:
        LandcoverError: if a disk is full, or the folder can no longer be written.
    """
    publish_all({final: built})


def publish_all(files: Mapping[UPath, Path | UPath]) -> None:
    """Publish finished files that belong together, in order; see `publish`.

    Only when all are brought does the first one replace an earlier file. In a bucket there is no
    such step: each object replaces its predecessor as soon as all of it is there.

    Args:
        files: the finished file of each final path.

    Raises:
        LandcoverError: if a disk is full, or a folder can no longer be written.
    """
    with ExitStack() as tidying:
        remote = [final for final in files if not is_local(final)]
        sources = {
            final: _bring(built, final, tidying)
            for final, built in files.items()
            if final not in remote
        }
        for final in remote:
            _upload(files[final], final)
        _rename(sources)


@contextmanager
def brought(
    files: Mapping[UPath, Path | UPath], is_recorded: Callable[[], bool]
) -> Iterator[Callable[[], None]]:
    """Bring finished files to where they will be published, together with a row.

    The block writes the row in a transaction, and publishes before it ends. In a bucket, a file is
    brought by uploading it under a hidden name, and published by copying it within the service.

    Args:
        files: the finished file of each final path; the row describes the last of them.
        is_recorded: tells, where the block fails after it has published, whether the row was
            committed all the same.

    Yields:
        What publishes the files, in order.

    Raises:
        LandcoverError: if a disk is full, or a folder can no longer be written.
    """
    with ExitStack() as tidying:
        sources = {final: _bring(built, final, tidying) for final, built in files.items()}
        for final in sources:
            # Of the last file last kept and first removed: see `settle`.
            tidying.callback(drop, aside(final, EARLIER))
            _keep(final)
        started: list[UPath] = []

        def publish_brought() -> None:
            started.extend(sources)
            _rename(sources)

        try:
            yield publish_brought
        except BaseException:
            if started and not is_recorded():
                # Where one cannot be put back now, the next run does it.
                dropping = tidying.pop_all()
                _put_back(started)
                dropping.close()
            raise


def aside(final: Place, what: str) -> Place:
    """Return the hidden name beside a file's final one.

    Args:
        final: the path under which others look for it.
        what: `BROUGHT` or `EARLIER`.
    """
    return final.with_name(f".{final.name}.{what}")


def leftovers(finals: Iterable[UPath]) -> list[UPath]:
    """Return what a process that was killed while it published has left, by its exact names.

    Args:
        finals: the files that it published, and that no other process publishes now.
    """
    finals = list(finals)
    ours = {aside(final, what) for final in finals for what in (BROUGHT, EARLIER)}
    found = []
    for folder in {final.parent for final in finals}:
        found += [path for name in _names_in(folder) if (path := folder / name) in ours]
    return sorted(found, key=str)


def settle(
    finals: Sequence[UPath], left: Sequence[UPath], is_old: Callable[[UPath], bool]
) -> list[UPath]:
    """Bring files and row together again where a process was killed between the two.

    Args:
        finals: files that are published together; the last is the one that the row describes.
        left: see `leftovers`.
        is_old: tells whether the row describes the file that was there before, given where it is.

    Returns:
        The files that were put back.
    """
    earlier = aside(finals[-1], EARLIER)
    back = [final for final in finals if aside(final, EARLIER) in left]
    if earlier not in left or not is_old(earlier):
        return []
    _put_back(back)
    return back


def check_replaceable(finals: Iterable[UPath]) -> None:
    """Make sure, before hours of work, that files which are there already can be replaced.

    Args:
        finals: the files; those in a bucket are let pass.

    Raises:
        LandcoverError: if one is a folder, or another user's in a folder of the sticky bit.
    """
    for final in filter(is_local, finals):
        if final.is_dir():
            raise LandcoverError(f"{final} is a folder, where a file is to be: move it away.")
        if final.exists() and _is_stuck(final):
            raise LandcoverError(
                f"{final} is of another user, and only its owner may replace it, because its "
                "folder has the sticky bit: let the owner remove the file, or take the bit from "
                "the folder with `chmod -t`."
            )


def _is_stuck(path: Path) -> bool:
    """Tell whether the sticky bit keeps this user from replacing a file."""
    folder = path.parent.stat()
    allowed = {0, path.stat().st_uid, folder.st_uid}
    return bool(folder.st_mode & stat.S_ISVTX) and os.geteuid() not in allowed


def _bring(built: Path | UPath, final: UPath, tidying: ExitStack) -> Path | UPath:
    """Bring a file to the folder of its final name; return what is to be given that name."""
    _check_whole(built)
    if not (is_local(final) or is_local(built)):
        # It is copied within the service.
        return built
    place = aside(final, BROUGHT)
    tidying.callback(drop, place)
    if not is_local(place):
        place.fs.put_file(str(built), place.path)
        return place
    with on_disk(place.parent):
        make_folder(place.parent)
        # A copy, not a second name: so it is of the folder's group, and all that its access list
        # gives it.
        _copy(built, place)
        take_mode(place)
    _flush(place)
    return place


def _copy(built: Path | UPath, place: Path) -> None:
    if is_local(built):
        shutil.copyfile(built, place)
    else:
        there = UPath(built)
        there.fs.get_file(there.path, str(place))


def _upload(built: Path | UPath, final: UPath) -> None:
    _check_whole(built)
    if is_local(built):
        final.fs.put_file(str(built), final.path)
    else:
        final.fs.copy(UPath(built).path, final.path)


def _check_whole(built: Path | UPath) -> None:
    """Make sure that a file was written whole: GDAL may have kept silent about what it was not."""
    if is_local(built) and is_full(built.parent):
        raise no_room(built.parent)


def _rename(sources: Mapping[UPath, Path | UPath]) -> None:
    """Give files their final names, in order."""
    for final, source in sources.items():
        if is_local(final):
            with on_disk(final.parent):
                Path(str(source)).replace(final)
        else:
            final.fs.copy(UPath(source).path, final.path)
    # A machine that is switched off must not leave a name without its file.
    for folder in {final.parent for final in sources if is_local(final)}:
        _flush(folder)


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        with on_disk(path.parent):
            os.fsync(number)
    except OSError as error:
        if error.errno != errno.EINVAL:  # what a network drive says of a folder
            raise
    finally:
        os.close(number)


def _keep(final: UPath) -> None:
    """Keep a file aside, unless an earlier one is kept already that could not be put back."""
    if aside(final, EARLIER).exists() or not final.exists():
        return
    if not is_local(final):
        final.fs.copy(final.path, aside(final, EARLIER).path)
        return
    with on_disk(final.parent):
        try:
            aside(final, EARLIER).hardlink_to(final)
        except OSError:  # a disk that knows no second names
            shutil.copyfile(final, aside(final, EARLIER))


def _put_back(finals: Sequence[UPath]) -> None:
    """Put the files back that were there before, and remove those before which there was none."""
    for final in reversed(finals):
        kept = aside(final, EARLIER)
        if not kept.exists():
            drop(final)
        elif is_local(final):
            kept.replace(final)
        else:
            final.fs.copy(kept.path, final.path)


def drop(path: UPath) -> None:
    """Remove a file, if it is there.

    Raises:
        OSError: if it is in a bucket and cannot be removed.
    """
    if is_local(path):
        with suppress(OSError):  # the next run removes it
            path.unlink(missing_ok=True)
    elif path.exists():
        path.fs.rm_file(path.path)


def _names_in(folder: UPath) -> list[str]:
    try:
        if is_local(folder):
            return [path.name for path in folder.iterdir()]
        # Not `iterdir`, because universal paths keep what they have listed.
        return [path.rpartition("/")[2] for path in folder.fs.ls(folder.path, detail=False)]
    except FileNotFoundError:
        return []
