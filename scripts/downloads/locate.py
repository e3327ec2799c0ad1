"""Find out what an address stands for: one file, or the files of a directory. Libraries load when they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model_side.base.errors import StepError
from model_side.base.files import FileEntry

from .local import LocalFile, copy_tree, local_members, local_path, size_of
from .origins import Member, Origin
from .patterns import is_pattern, top_of
from .transfer import Watch


@dataclass(frozen=True)
class LocalTree:
    """A directory of this machine."""

    path: Path

    def copy(self, target: Path, watch: Watch) -> dict[str, FileEntry]:
        """Copy it to `target` and return its files by name."""
        watch.expect(size_of(self.path), 0)
        return copy_tree(self.path, target, watch.arrived)


def locate(uri: str) -> Origin | LocalTree | tuple[Member, ...]:
    """Return what `uri` stands for; asks the network where it must.

    Raises
    ------
    StepError
        If it stands for nothing.
    UsageError
        If a library for its protocol is not installed.
    """
    scheme = uri.partition(":")[0]
    if scheme == "file":
        return _local(uri)
    if scheme in ("http", "https"):
        from .http import HttpFile

        return HttpFile(uri)
    if scheme == "hf":
        from .hub import locate_on_hub

        return locate_on_hub(uri)
    if scheme == "doi":
        from .doi import locate_doi

        return locate_doi(uri)
    from .remote import locate_remote

    return locate_remote(uri)


def _local(uri: str) -> Origin | LocalTree | tuple[Member, ...]:
    path = local_path(uri)
    if path.is_dir():
        return LocalTree(path)
    if not path.exists() and is_pattern(uri):
        # What is percent-encoded stands for itself.
        top = top_of(uri)
        members = tuple(local_members(local_path(top), uri[len(top) + 1 :], uri))
        if members:
            return members
    if not path.is_file():
        raise StepError(uri, "no such file or directory", advice="Check the uri.")
    return LocalFile(path)
