"""Find the files of a record on Zenodo or Figshare by its DOI."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from model_side.base.errors import StepError, UsageError

from .http import HttpFile, get_json
from .origins import Member, Origin

ZENODO, FIGSHARE = "https://zenodo.org/api", "https://api.figshare.com/v2"
_ZENODO = re.compile(r"doi:10\.5281/zenodo\.(?P<record>\d+)(?:/(?P<file>.+))?")
# Institutions have prefixes of their own, so a Figshare DOI is known by what follows the slash.
_FIGSHARE = re.compile(
    r"doi:10\.\d+/[a-z0-9.]*?\b(?:figshare|m9\.figshare)\.(?P<record>\d+)(?:\.v(?P<version>\d+))?(?:/(?P<file>.+))?"
)


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
        name = str(file["key"])
        url = file.get("links", {}).get("self") or f"{record['links']['self']}/files/{quote(name)}/content"
        yield Member(name, HttpFile(str(url)), int(file["size"]), str(file.get("checksum", "")))


def _of_figshare(article: Any) -> Iterator[Member]:
    for file in article["files"]:
        mark = str(file.get("computed_md5", ""))
        yield Member(str(file["name"]), HttpFile(str(file["download_url"])), int(file["size"]), mark)
