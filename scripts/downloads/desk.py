"""Where a source's unfinished and wrong bytes lie, and how finished ones come to their place in model_data/.

Each source has a desk, ``model_data/.downloads/<digest of its paths>``: on the same file system, and not among the
author's files. ``bad`` holds wrong bytes, ``edited`` what an author had edited; all else on it is unfinished.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from model_side.publish import publish_directory
from pipeline.errors import StepError, UsageError

from .declaration import DATA_DIRECTORY, DESKS, STATE_DIRECTORY
from .faults import foreign

BAD, EDITED = "bad", "edited"


@dataclass(frozen=True)
class Desk:
    """The desk of one source.

    Parameters
    ----------
    place : Path
        Its directory, which is made when it is first needed.
    """

    place: Path

    @property
    def part(self) -> Path:
        """Return where bytes arrive: a file or a directory."""
        return self.place / "part"

    @property
    def cached(self) -> Path:
        """Return where files of the cache are put together."""
        return self.place / "cached"

    @property
    def unpacked(self) -> Path:
        """Return where an archive is unpacked."""
        return self.place / "unpacked"

    @property
    def old(self) -> Path:
        """Return where the last outputs of a command wait for the new ones."""
        return self.place / "old"

    @property
    def marker(self) -> Path:
        """Return what says that a command has begun and is not in the record yet."""
        return self.place / "command"

    @property
    def is_resumable(self) -> bool:
        """Tell whether a later run can go on with what is unfinished here."""
        return (self.place / "part.note").exists() or (self.place / "listing").exists()

    def shown(self, path: Path) -> str:
        """Return what a path on the desk is called in messages."""
        return f"{DATA_DIRECTORY}/{path.relative_to(self.place.parents[1])}"

    def keep_bad(self, path: Path, name: str) -> str:
        """Keep wrong bytes that were meant for `name`, instead of earlier ones; return where, for people."""
        return self._keep(path, self.place / BAD / name)

    def keep_edited(self, path: Path, name: str, sha256: str) -> str:
        """Keep what an author had edited at `name`, beside other edits of it; return where, for people."""
        return self._keep(path, self.place / EDITED / sha256[:12] / name)

    def _keep(self, path: Path, aside: Path) -> str:
        remove(aside)
        aside.parent.mkdir(parents=True, exist_ok=True)
        path.replace(aside)
        return self.shown(aside)

    def tidy(self) -> None:
        """Remove whatever is unfinished, also what killed runs have left."""
        for path in unfinished(self.place):
            remove(path)
        if self.place.is_dir() and not any(self.place.iterdir()):
            self.place.rmdir()


def desk_name(paths: Collection[str]) -> str:
    """Return the name of the desk of a source with these paths."""
    return hashlib.sha256("\0".join(paths).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def desk_of(data: Path, paths: Collection[str]) -> Desk:
    """Return the desk of a source with these paths."""
    return Desk(data / DESKS / desk_name(paths))


def unfinished(desk: Path) -> list[Path]:
    """Return what is unfinished on a desk."""
    return [path for path in sorted(desk.iterdir()) if path.name not in (BAD, EDITED)] if desk.is_dir() else []


def tidy_former(package: Path) -> None:
    """Remove what version 0.1 left unfinished beside its targets, as it has noted itself."""
    note = package / STATE_DIRECTORY / "leftovers.json"
    try:
        begun = [str(path) for path in json.loads(note.read_bytes())["begun"]]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for path in begun:
        for end in (".part", ".part.json"):
            remove(package / DATA_DIRECTORY / f"{path}{end}")
    note.unlink()


def check_inside(data: Path, path: str) -> Path:
    """Return the place of `path` in model_data/.

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
        own = sorted(_members(target) - set(known))
        if own:
            raise StepError(
                str(target),
                "it holds files that came from no source",
                got=", ".join(own[:5]) + (" ..." if len(own) > 5 else ""),
                advice="Move them away; a source never replaces an author's files.",
            )
    elif target.exists() and not owned:
        raise foreign(target)


def install(staged: Path, target: Path) -> None:
    """Put `staged` in the place of `target`, which may be replaced; whole directories change places at once."""
    target.parent.mkdir(parents=True, exist_ok=True)
    is_directory = target.is_dir() and not target.is_symlink()
    if is_directory and staged.is_dir():
        publish_directory(staged, target)
        return
    if is_directory or staged.is_dir():
        remove(target)
    staged.replace(target)


def remove(path: Path) -> None:
    """Remove a file, a link or a directory; nothing where there is nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _members(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}
