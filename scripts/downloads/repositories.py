"""Find files on the Hugging Face Hub, Zenodo and Figshare by their plain HTTP interfaces, without their libraries."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from model_side.base.errors import StepError, UsageError

from .address import HUB, HUB_FORM
from .http import get_json, http_file
from .origins import Member, Origin, is_pattern, matching, top_of

ZENODO, FIGSHARE = "https://zenodo.org/api", "https://api.figshare.com/v2"
_ZENODO = re.compile(r"doi:10\.5281/zenodo\.(?P<record>\d+)(?:/(?P<file>.+))?")
# Institutions have prefixes of their own, so a Figshare DOI is known by what follows the slash.
_FIGSHARE = re.compile(
    r"doi:10\.\d+/[a-z0-9.]*?\b(?:figshare|m9\.figshare)\.(?P<record>\d+)(?:\.v(?P<version>\d+))?(?:/(?P<file>.+))?"
)


@dataclass(frozen=True)
class _Repository:
    """A repository of the Hub."""

    endpoint: str
    kind: str
    name: str
    headers: dict[str, str] = field(repr=False)

    def file(self, path: str, revision: str) -> Origin:
        kind = "" if self.kind == "models/" else self.kind
        url = f"{self.endpoint}/{kind}{self.name}/resolve/{quote(revision, safe='')}/{quote(path)}"
        return http_file(url, self.headers)

    def commit(self, revision: str) -> str:
        return str(self._ask(f"revision/{quote(revision, safe='')}")[0]["sha"])

    def tree(self, commit: str, top: str) -> Iterator[dict[str, Any]]:
        """Yield every entry under `top`, page by page."""
        page, following = self._ask(f"tree/{commit}/{quote(top)}".rstrip("/") + "?recursive=true")
        yield from page
        while following:
            is_here = urlsplit(following).netloc == urlsplit(self.endpoint).netloc
            page, following = get_json(following, self.headers if is_here else {})
            yield from page

    def _ask(self, what: str) -> tuple[Any, str]:
        return get_json(f"{self.endpoint}/api/{self.kind}{self.name}/{what}", self.headers)


def locate_on_hub(uri: str, environment: Mapping[str, str] = os.environ) -> Origin | tuple[Member, ...]:
    """Return what ``hf://owner/repo/file@revision`` stands for: a file, or the files of a directory or a pattern.

    A directory ends with a slash; nothing after the repository means all of it. Datasets are at
    ``hf://datasets/owner/repo``.

    Raises
    ------
    UsageError
        If the address is not of that form.
    StepError
        If there is no such repository, revision or directory.
    """
    found = HUB.fullmatch(uri)
    if not found:
        raise UsageError(uri, "not an address of the Hub", expected=HUB_FORM)
    path, revision = found["inside"] or found["path"] or "", unquote(found["early"] or found["late"] or "main")
    endpoint = environment.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    repository = _Repository(endpoint, found["kind"] or "models/", found["repo"], _headers(environment))
    is_many = is_pattern(path)
    if path and not path.endswith("/") and not is_many:
        return repository.file(path, revision)
    top, is_wanted = (top_of(path), matching(path, uri)) if is_many else (path.strip("/"), bool)
    # A branch may move while its files come: all of them are asked for by its commit.
    members = tuple(_members(repository, repository.commit(revision), top, is_wanted))
    if not members:
        raise StepError(uri, "no file is there", advice="Check the uri.")
    return members


def _members(repository: _Repository, commit: str, top: str, is_wanted: Callable[[str], bool]) -> Iterator[Member]:
    for entry in repository.tree(commit, top):
        path = str(entry["path"])
        if entry["type"] == "file" and is_wanted(path):
            mark = str((entry.get("lfs") or entry).get("oid", ""))
            yield Member(path[len(top) + bool(top) :], repository.file(path, commit), int(entry["size"]), mark)


def _headers(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the header with the person's token, from where the Hub's own tools keep it."""
    token = environment.get("HF_TOKEN", "")
    home = Path(environment.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    stored = Path(environment.get("HF_TOKEN_PATH") or home / "token")
    if not token and stored.is_file():
        token = stored.read_text(encoding="utf-8")
    return {"Authorization": f"Bearer {token.strip()}"} if token.strip() else {}


def locate_doi(uri: str, zenodo: str = ZENODO, figshare: str = FIGSHARE) -> Origin | tuple[Member, ...]:
    """Return the file ``doi:10.5281/zenodo.<record>/<file>``, or all files of the record where none is named.

    Parameters
    ----------
    uri : str
    zenodo, figshare : str
        Where the interfaces of the archives are.

    Raises
    ------
    UsageError
        If the DOI is not of Zenodo or Figshare.
    StepError
        If there is no such record, or no such file in it.
    """
    if found := _ZENODO.fullmatch(uri):
        members = tuple(_of_zenodo(get_json(f"{zenodo}/records/{found['record']}")[0]))
    elif found := _FIGSHARE.fullmatch(uri):
        version = f"/versions/{found['version']}" if found["version"] else ""
        members = tuple(_of_figshare(get_json(f"{figshare}/articles/{found['record']}{version}")[0]))
    else:
        raise UsageError(
            uri, "not a DOI of Zenodo or Figshare", advice="Give the address of the file itself, https://..."
        )
    return _named(uri, members, found["file"]) if found["file"] else members


def _named(uri: str, members: tuple[Member, ...], name: str) -> Origin:
    for member in members:
        if member.name == name:
            return member.origin
    names = ", ".join(member.name for member in members[:10]) or "nothing"
    raise StepError(uri, "the record holds no such file", got=name, advice=f"It holds {names}.")


def _of_zenodo(record: Any) -> Iterator[Member]:
    for file in record["files"]:
        mark = str(file.get("checksum", ""))
        yield Member(str(file["key"]), http_file(str(file["links"]["self"])), int(file["size"]), mark)


def _of_figshare(article: Any) -> Iterator[Member]:
    for file in article["files"]:
        mark = str(file.get("computed_md5", ""))
        yield Member(str(file["name"]), http_file(str(file["download_url"])), int(file["size"]), mark)
