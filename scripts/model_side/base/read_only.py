"""What a model may only read: its own package, the author's data, its inputs."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from .errors import StepError
from .files import file_entry
from .namespaces import NEW_FILES, bind, leave

ADVICE = (
    'Open what it only reads for reading (mode="r", backed="r", lock=False), make indexes and caches before packaging '
    "(EXAMPLE_FILES lets them travel), and write to tempfile.mkdtemp()."
)
OWN_PREDICT = (
    "A predict of your own opens what a request names with `from . import local_file`: "
    "`with local_file(uri, context.artifacts) as path:`."
)
_FAULT = "wrote to files that a model may only read"
_SHOWN = 5
_BYTECODE = "__pycache__"  # numba keeps its caches there, too
Stamps = Mapping[str, tuple[object, ...]]


def hold(paths: Iterable[Path]) -> bool:
    """Let this process and those that it starts only read some files and directories, from now on.

    It holds for root, too, and for what links in them lead to. Call it in a process that has one thread.

    Parameters
    ----------
    paths : iterable of Path
        Those that do not exist are left out.

    Returns
    -------
    bool
        False where the system cannot do that.
    """
    here, places = Path.cwd(), sorted(_with_links(paths))
    if not _works(places):
        return False
    _bind_all(places)
    os.chdir(here)  # the place that is read-only, not the one below it
    return True


def can_hold(path: Path) -> bool:
    """Tell whether `hold` works on this system."""
    return _works([os.path.realpath(path)])


def _works(places: Iterable[str]) -> bool:
    """Try it in a process of its own: one that fails half-way would be left as nobody."""
    process = os.fork()
    if process:
        return os.waitpid(process, 0)[1] == 0
    try:
        _bind_all(places)
        os._exit(0)
    finally:
        os._exit(1)


def _bind_all(places: Iterable[str]) -> None:
    leave(NEW_FILES)
    for place in places:
        bind(place, place, read_only=True)


def is_held(path: Path) -> bool:
    """Tell whether a path lies on a file system that this process may only read."""
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


@contextmanager
def unchanged(subject: str, places: Iterable[Path], but: Collection[Path] = ()) -> Iterator[None]:
    """Check that files are as they were when the block ends: size, times and inode tell, also where memory is mapped.

    In a tmpfs, a write to mapped memory may change no time: there the content tells. Bytecode, and what is cached
    beside it, is left out.

    Parameters
    ----------
    subject : str
        What runs in the block.
    places : iterable of Path
        Files and directories.
    but : collection of Path
        What may change.

    Raises
    ------
    StepError
        If one changed, with their names; one that the block raises says so, too.
    """
    before = {place: _stamps(place, but) for place in places}
    try:
        yield
    except StepError as error:
        if changed := _changed(before, but):
            error.advice = f"{error.advice} It also {_FAULT}: {changed}. {ADVICE}".lstrip()
        raise
    if changed := _changed(before, but):
        raise StepError(subject, f"it {_FAULT}", got=changed, advice=ADVICE)


def _changed(before: Mapping[Path, Stamps], but: Collection[Path]) -> str:
    """Return the names of the files that are not as they were."""
    both = ((then, _stamps(place, but)) for place, then in before.items())
    names = sorted({name for then, now in both for name in then.keys() | now.keys() if then.get(name) != now.get(name)})
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def advice_on(error: BaseException | str) -> str:
    """Return what to do, by its text, about an error of opening what a request names or what may only be read."""
    if os.strerror(errno.EROFS) in (text := str(error)):
        return ADVICE
    return OWN_PREDICT if "artifact:/" in text and "no such artifact" not in text else ""


def _with_links(paths: Iterable[Path]) -> set[str]:
    """Return the real paths of what exists, and of what links inside it lead to; none that holds this process's own."""
    own = (Path.cwd().resolve(), Path(tempfile.gettempdir()).resolve())
    found: set[str] = set()
    ahead = [os.path.realpath(path) for path in paths]
    while ahead:
        place = ahead.pop()
        if place not in found and os.path.exists(place) and not any(each.is_relative_to(place) for each in own):  # noqa: PTH110
            found.add(place)
            ahead += (os.path.realpath(link) for link in _links(place))
    return found


def _links(place: str) -> Iterator[str]:
    if Path(place).is_dir():
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield entry.path
                elif entry.is_dir():
                    yield from _links(entry.path)


def _stamps(place: Path, but: Collection[Path]) -> Stamps:
    """Return what tells a change of each file, by its path from the directory of `place` on."""
    return {str(place.name / path.relative_to(place)): _stamp(path) for path in _paths(place, but)}


def _paths(place: Path, but: Collection[Path]) -> Iterator[Path]:
    yield place
    if place.is_dir():
        for path in place.iterdir():
            if path.is_dir() and not path.is_symlink() and path.name != _BYTECODE and path not in but:
                yield from _paths(path, but)
            elif path.name != _BYTECODE and path not in but:
                yield path


def _stamp(path: Path) -> tuple[object, ...]:
    try:
        status = path.stat()
    except OSError:  # a link to nothing
        return ()
    if stat.S_ISDIR(status.st_mode):
        return (stat.S_IFDIR,)
    content = file_entry(path).sha256 if status.st_dev in _in_memory() and stat.S_ISREG(status.st_mode) else ""
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, content)


@cache
def _in_memory() -> frozenset[int]:
    """Return the devices of the file systems in memory."""
    try:
        text = Path("/proc/self/mountinfo").read_text(encoding="ascii", errors="surrogateescape")
        mounted = [line.split(" - ") for line in text.splitlines()]
    except OSError:
        return frozenset()
    devices = {place.split()[2] for place, kind in mounted if kind.startswith(("tmpfs ", "ramfs "))}
    return frozenset(os.makedev(*map(int, device.split(":"))) for device in devices)
