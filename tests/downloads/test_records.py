"""The Hub and the archives with DOIs, by stubs of their interfaces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from downloads.origins import Member, Origin
from downloads.progress import Bar
from downloads.repositories import locate_doi, locate_on_hub
from downloads.transfer import fetch
from downloads.tree import fetch_tree
from model_side.base.errors import StepError, UsageError
from model_side.base.files import FileEntry

from .conftest import QUICK, Model, sha256
from .server import Hostile, code, redirect

COMMIT = "c0ffee"
FILES = {"config.json": b"{}", "sub dir/w.bin": b"weights" * 500, "sub dir/v.bin": b"v"}


def fill_hub(hostile: Hostile, kind: str = "models/", repo: str = "owner/repo") -> None:
    """Answer as the Hub does: the files redirect to another place, the tree comes in pages."""
    place = repo if kind == "models/" else f"{kind}{repo}"
    entries = [{"type": "directory", "path": "sub dir", "oid": "d", "size": 0}]
    for name, content in FILES.items():
        entries.append({"type": "file", "path": name, "oid": sha256(content), "size": len(content)})
        quoted = name.replace(" ", "%20")
        for revision in ("main", "v1", COMMIT):
            hostile.put(f"/{place}/resolve/{revision}/{quoted}", b"", *[redirect(f"/cdn/{quoted}")] * 5)
        hostile.put(f"/cdn/{quoted}", content)
    api = f"/api/{kind}{repo}"
    for revision in ("main", "v1"):
        hostile.put(f"{api}/revision/{revision}", json.dumps({"sha": COMMIT}).encode())
    following = f'<{hostile.address}{api}/page2>; rel="next"'
    hostile.put(f"{api}/tree/{COMMIT}", json.dumps(entries[:2]).encode(), lambda answer: answer.serve(Link=following))
    hostile.put(f"{api}/page2", json.dumps(entries[2:]).encode())
    hostile.put(f"{api}/tree/{COMMIT}/sub%20dir", json.dumps(entries[2:]).encode())


def bring(found: Origin | tuple[Member, ...], tmp_path: Path) -> dict[str, FileEntry]:
    if isinstance(found, tuple):
        return fetch_tree(found, tmp_path, 3, QUICK, Bar("w"), pinned=True)[0]
    return {"": fetch(found, tmp_path / "part", QUICK, Bar("w"), pinned=True)[0]}


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("hf://owner/repo/config.json", {"": "config.json"}),
        ("hf://owner/repo/sub dir/w.bin@v1", {"": "sub dir/w.bin"}),
        ("hf://owner/repo@v1/sub dir/w.bin", {"": "sub dir/w.bin"}),
        ("hf://owner/repo/sub dir/@v1", {"w.bin": "sub dir/w.bin", "v.bin": "sub dir/v.bin"}),
        ("hf://owner/repo", {name: name for name in FILES}),
        ("hf://owner/repo@v1", {name: name for name in FILES}),
        ("hf://datasets/owner/repo/", {name: name for name in FILES}),
        ("hf://owner/repo/sub dir/w*", {"w.bin": "sub dir/w.bin"}),
    ],
)
def test_hub_gives_what_the_address_says(hostile: Hostile, tmp_path: Path, uri: str, names: dict[str, str]) -> None:
    fill_hub(hostile, "datasets/" if "datasets" in uri else "models/")
    found = locate_on_hub(uri, {"HF_ENDPOINT": hostile.address, "HF_HOME": str(tmp_path)})
    facts = bring(found, tmp_path)
    assert {name: fact.sha256 for name, fact in facts.items()} == {n: sha256(FILES[m]) for n, m in names.items()}


@pytest.mark.parametrize("where", ["HF_TOKEN", "file"])
def test_hub_gets_the_token_from_where_its_own_tools_keep_it(hostile: Hostile, tmp_path: Path, where: str) -> None:
    fill_hub(hostile)
    (tmp_path / "token").write_text("topsecret6\n")
    given = {"HF_TOKEN": "topsecret6"} if where == "HF_TOKEN" else {"HF_HOME": str(tmp_path)}
    found = locate_on_hub("hf://owner/repo/config.json", {"HF_ENDPOINT": hostile.address, **given})
    bring(found, tmp_path)
    assert hostile.asked[0].headers["authorization"] == "Bearer topsecret6"
    assert "topsecret6" not in repr(found)


def test_token_of_the_hub_wins_over_netrc_and_goes_to_no_other_host(
    hostile: Hostile, tmp_path: Path, netrc: Path
) -> None:
    fill_hub(hostile)
    elsewhere = hostile.put("/elsewhere", b"w").replace("127.0.0.1", "localhost")
    hostile.put("/cdn/config.json", b"", redirect(elsewhere))
    given = {"HF_ENDPOINT": hostile.address, "HF_TOKEN": "topsecret6"}
    bring(locate_on_hub("hf://owner/repo/config.json", given), tmp_path)
    sent = {asked.path: asked.headers.get("authorization", "") for asked in hostile.asked}
    assert sent["/owner/repo/resolve/main/config.json"] == sent["/cdn/config.json"] == "Bearer topsecret6"
    assert sent["/elsewhere"].startswith("Basic ")


def test_token_of_the_hub_goes_to_no_other_host_when_a_listing_goes_on_there(hostile: Hostile, tmp_path: Path) -> None:
    fill_hub(hostile)
    api = "/api/models/owner/repo"
    elsewhere = f'<{hostile.address.replace("127.0.0.1", "localhost")}{api}/page2>; rel="next"'
    hostile.faults[f"{api}/tree/{COMMIT}"].clear()
    hostile.faults[f"{api}/tree/{COMMIT}"].append(lambda answer: answer.serve(Link=elsewhere))
    locate_on_hub("hf://owner/repo", {"HF_ENDPOINT": hostile.address, "HF_TOKEN": "topsecret6"})
    sent = {asked.path: asked.headers.get("authorization", "") for asked in hostile.asked}
    assert sent[f"{api}/tree/{COMMIT}"] == "Bearer topsecret6"
    assert sent[f"{api}/page2"] == ""


def test_hub_source_is_brought_after_trouble(model: Model, hub: Hostile) -> None:
    fill_hub(hub)
    hub.faults["/api/models/owner/repo/revision/main"].append(code(503))
    model.declare('uri = "hf://owner/repo"\npath = "d"')
    assert model.actions(lock=True) == ["fetched"]
    assert model.files() == {f"d/{name}": content for name, content in FILES.items()}


@pytest.mark.parametrize("uri", ["hf://repo", "hf://owner/repo@a/file@b", "hf://"])
def test_hub_address_is_refused_when_it_has_another_form(uri: str) -> None:
    with pytest.raises(UsageError, match="hf://owner/repo/file@revision"):
        locate_on_hub(uri, {})


ZENODO = "doi:10.5281/zenodo.123"
FIGSHARE = "doi:10.6084/m9.figshare.456.v2"


def fill_records(hostile: Hostile) -> dict[str, str]:
    zenodo, figshare = [], []
    for number, (name, content) in enumerate(FILES.items()):
        hostile.put(f"/files/{number}", content)
        url = f"{hostile.address}/files/{number}"
        zenodo.append({"key": name, "size": len(content), "checksum": "md5:0", "links": {"self": url}})
        figshare.append({"name": name, "size": len(content), "computed_md5": "0", "download_url": url})
    hostile.put("/records/123", json.dumps({"files": zenodo}).encode())
    hostile.put("/articles/456/versions/2", json.dumps({"files": figshare}).encode())
    return {"zenodo": hostile.address, "figshare": hostile.address}


@pytest.mark.parametrize("record", [ZENODO, FIGSHARE])
def test_doi_gives_one_file_or_all(hostile: Hostile, tmp_path: Path, record: str) -> None:
    places = fill_records(hostile)
    facts = bring(locate_doi(f"{record}/sub dir/w.bin", **places), tmp_path)
    assert facts[""].sha256 == sha256(FILES["sub dir/w.bin"])
    facts = bring(locate_doi(record, **places), tmp_path)
    assert {name: fact.sha256 for name, fact in facts.items()} == {n: sha256(c) for n, c in FILES.items()}


def test_doi_error_says_what_the_record_holds(hostile: Hostile) -> None:
    with pytest.raises(StepError, match=r"holds no such file: got none.bin. It holds config.json, "):
        locate_doi(f"{ZENODO}/none.bin", **fill_records(hostile))


def test_doi_is_refused_when_it_is_of_neither_archive() -> None:
    with pytest.raises(UsageError, match="not a DOI of Zenodo or Figshare"):
        locate_doi("doi:10.1234/other.5/file")
