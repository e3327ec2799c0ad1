"""Where a source's unfinished and wrong bytes lie, and how finished ones come to their place in model_data/.

Each source has a desk, ``model_data/.downloads/<digest of its paths>``: on the same file system, and not among the
author's files. ``bad`` holds wrong bytes, ``edited`` what an author had edited; all else on it is unfinished.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.step import STATE_DIRECTORY
from engine.transaction import remove
from model_side.base.damage import damage
from model_side.base.errors import StepError, UsageError
from model_side.base.files import move, publish_directory

from .blocks import kept_bytes
from .content import Files, files_under
from .declaration import DATA_DIRECTORY, DESKS, Source
from .faults import foreign

BAD, EDITED = "bad", "edited"
PART, NOTE, LISTING = "part", "part.note", "listing"
# The first says that a command has begun and is not in the record yet, the second holds what was there before it.
MARKER, OLD = "command", "old"
_MOST_TOLD = 5


@contextmanager
def alone(package: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the package's download lock; the operating system ends it with its holder.

    It is not the pipeline's lock, which is held already when the pipeline runs a download.

    Parameters
    ----------
    package : Path
    say : callable of str
        Tells a person that another download is waited for.
    """
    from filelock import FileLock, Timeout

    state = package / STATE_DIRECTORY
    state.mkdir(parents=True, exist_ok=True)
    lock = FileLock(state / "download.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{package.name}: waiting for another download of it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def desk_name(paths: Collection[str]) -> str:
    """Return the name of the desk of a source with these paths."""
    return hashlib.sha256("\0".join(paths).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def desk_of(data: Path, paths: Collection[str]) -> Path:
    """Return the desk of a source with these paths; it is made when it is first needed.

    Parameters
    ----------
    data : Path
        model_data/.
    paths : collection of str

    Returns
    -------
    Path
    """
    return data / DESKS / desk_name(paths)


def is_resumable(desk: Path) -> bool:
    """Tell whether a later run can go on with what is unfinished there, or must bring it back.

    Parameters
    ----------
    desk : Path

    Returns
    -------
    bool
    """
    return any((desk / name).exists() for name in (NOTE, LISTING, MARKER))


def unfinished_bytes(desk: Path) -> int:
    """Return how many bytes a later run goes on with: whole blocks of a file, whole files of a directory.

    Parameters
    ----------
    desk : Path
    """
    if (desk / LISTING).exists():
        return sum(file.stat().st_size for _, file in files_under(str(desk / PART)))
    return kept_bytes(desk / PART)


def set_aside(path: Path, desk: Path, *place: str) -> str:
    """Move something to a place on the desk, instead of what was there; return where, for people.

    Parameters
    ----------
    path, desk : Path
    place : str
        BAD and the name that it was meant for, or EDITED, a digest and the name.

    Returns
    -------
    str
    """
    aside = desk.joinpath(*place)
    remove(aside)
    aside.parent.mkdir(parents=True, exist_ok=True)
    move(path, aside)
    return f"{DATA_DIRECTORY}/{aside.relative_to(desk.parents[1])}"


def refuse_damaged(
    source: Source, files: Files, place: Callable[[str], Path], desk: Path, say: Callable[[str], None]
) -> None:
    """Refuse a file that nobody can have meant, whatever its sha256; of a directory's, which may hold any, only tell.

    Parameters
    ----------
    source : Source
    files : mapping of str to FileEntry
        By name relative to model_data/.
    place : callable of str
        Returns where a file is now, by its name.
    desk : Path
        Where what is refused is kept.
    say : callable of str
        Tells a person about members of a directory.

    Raises
    ------
    StepError
        If a file that the source names is a pointer, an error page, empty or cut off.
    """
    told = 0
    for name in files:
        fault = damage(place(name), name=name, member=name not in source.paths)
        if fault and name in source.paths:
            bad = [set_aside(place(path), desk, BAD, path) for path in source.paths]
            advice = f"It came from {source.shown}, was not installed, and is kept as {', '.join(bad)}."
            raise StepError(f"{DATA_DIRECTORY}/{name}", fault, advice=advice)
        if fault and (told := told + 1) <= _MOST_TOLD:
            say(f"warning: {DATA_DIRECTORY}/{name}: {fault}")


def tidy(desk: Path) -> None:
    """Remove whatever is unfinished on a desk, also what killed runs have left.

    Parameters
    ----------
    desk : Path
    """
    for path in desk.iterdir() if desk.is_dir() else ():
        if path.name not in (BAD, EDITED):
            remove(path)
    if desk.is_dir() and not any(desk.iterdir()):
        desk.rmdir()


def check_inside(data: Path, path: str) -> Path:
    """Return the place of `path` in model_data/.

    Parameters
    ----------
    data : Path
        model_data/.
    path : str
        Relative to it.

    Returns
    -------
    Path

    Raises
    ------
    UsageError
        If a link or a file on the way leads it out of model_data/ or ends it.
    """
    target = data / path
    name = f"{DATA_DIRECTORY}/{path}"
    if not target.parent.resolve().is_relative_to(data.resolve()):
        raise UsageError(name, f"a link on the way leads out of {DATA_DIRECTORY}/", advice="Remove the link.")
    if any(above.exists() and not above.is_dir() for above in target.parents):
        raise UsageError(name, "a file is where its directory should be", advice="Move it away.")
    return target


def check_replaceable(target: Path, *, owned: bool, known: Collection[str] = ()) -> None:
    """Check that nothing of the author's is at `target`.

    Parameters
    ----------
    target : Path
    owned : bool
        Whether what is there came from a source and may be replaced.
    known : collection of str
        Members of the directory there that came from a source, relative to it.

    Raises
    ------
    StepError
        If something there is the author's own.
    """
    if target.is_dir() and not target.is_symlink():
        own = sorted({name for name, _ in files_under(str(target))} - set(known))
        if own:
            got = ", ".join(own[:5]) + (" ..." if len(own) > 5 else "")
            advice = "Move them away; a source never replaces an author's files."
            raise StepError(str(target), "it holds files that came from no source", got=got, advice=advice)
    elif target.exists() and not owned:
        raise foreign(target)


def install(staged: Path, target: Path) -> None:
    """Put `staged` in the place of `target`, which may be replaced; whole directories change places at once.

    Parameters
    ----------
    staged, target : Path
        On one file system.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    is_directory = target.is_dir() and not target.is_symlink()
    if is_directory and staged.is_dir():
        publish_directory(staged, target)
        return
    if is_directory or staged.is_dir():
        remove(target)
    move(staged, target)
