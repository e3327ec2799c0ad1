"""What the cache has of a source: one file by its sha256, several by the list of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from .cache import Cache
from .content import Files, listed, listing
from .declaration import Source


def kept(source: Source, cache: Cache) -> list[tuple[str, str]]:
    """Return sha256 and name, relative to model_data/, of each file of a source; none where the cache lacks one."""
    if len(source.paths) == 1 and cache.has(source.sha256):
        return [(source.sha256, source.paths[0])]
    text = None if source.unpack else cache.take_list(source.sha256)
    top = f"{source.paths[0]}/" if len(source.paths) == 1 else ""
    members = [(sha256, f"{top}{name}") for sha256, name in listed(text or "")]
    return members if all(cache.has(sha256) for sha256, _ in members) else []


def take(source: Source, cache: Cache, place: Callable[[str], Path]) -> Files | None:
    """Put each file of a source where `place` says; return what they are, None where the cache has not all, or unsound.

    Raises
    ------
    OSError
        If there is no space for a copy.
    """
    files = {}
    for sha256, name in kept(source, cache):
        target = place(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        fact = cache.take(sha256, target)
        if fact is None:
            return None
        files[name] = fact
    return files or None


def keep(source: Source, files: Files, places: Mapping[str, Path], cache: Cache) -> None:
    """Put proven bytes, from `places`, into the cache; what is on this machine anyway, or may change, is not kept."""
    if source.mutable or source.uri.startswith("file:"):
        return
    for name, place in places.items():
        cache.put(place, files[name], name, source.shown)
    if list(files) != list(source.paths):
        cache.put_list(listing(files, source.paths))
