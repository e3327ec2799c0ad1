"""Archives, good and hostile."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from downloads import archive
from downloads.archive import unpack
from model_side.base.errors import ReportedError, StepError
from model_side.base.files import FileEntry

from .conftest import Model, contents, sha256
from .server import Hostile, code, cut

FILES = {"top/a.txt": b"a" * 1000, "top/deep/b.bin": b"b" * 3_000_001, "c": b"", "top/exact": b"e" * 1024}


def tar_of(members: list[tuple[str | tarfile.TarInfo, bytes]], mode: str = "w") -> bytes:
    """Return a tar archive; a member may be given as the header that it is to have."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as ball:  # type: ignore[call-overload]
        for name, content in members:
            header = tarfile.TarInfo(name) if isinstance(name, str) else name
            header.size = len(content)
            ball.addfile(header, io.BytesIO(content))
    return stream.getvalue()


def header(name: str, kind: bytes, to: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, to
    return made


def zip_of(members: dict[str | zipfile.ZipInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in members.items():
            bundle.writestr(name, content)
    return stream.getvalue()


def good(kind: str) -> bytes:
    if kind == "zip":
        return zip_of({"top/": b"", **FILES})  # type: ignore[dict-item]
    if kind == "zst":
        zstandard = pytest.importorskip("zstandard", reason="zstandard is not installed")
        compressed: bytes = zstandard.ZstdCompressor().compress(good("tar"))
        return compressed
    directory = header("top", tarfile.DIRTYPE)
    return tar_of([(directory, b""), *FILES.items()], "w" if kind == "tar" else f"w:{kind}")


def unpacked(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "archive"
    path.write_bytes(content)
    facts = unpack(path, tmp_path / "out", "model_data/x")
    files = contents(tmp_path / "out")
    assert facts == {name: FileEntry(len(text), sha256(text)) for name, text in files.items()}
    return tmp_path / "out"


@pytest.mark.parametrize("kind", ["tar", "gz", "bz2", "xz", "zst", "zip"])
def test_archive_is_unpacked_when_it_is_good(tmp_path: Path, kind: str) -> None:
    out = unpacked(tmp_path, good(kind))
    assert contents(out) == FILES


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a tar member goes up": (lambda: tar_of([("../evil", b"x")]), "outside"),
    "a tar member goes up in the middle": (lambda: tar_of([("a/../../evil", b"x")]), "outside"),
    "a tar member is absolute": (lambda: tar_of([("/evil", b"x")]), "outside"),
    "a tar directory goes up": (lambda: tar_of([(header("../evil", tarfile.DIRTYPE), b"")]), "outside"),
    "a tar link goes out": (lambda: tar_of([(header("l", tarfile.SYMTYPE, "../../evil"), b"")]), "outside"),
    "a tar link is absolute": (lambda: tar_of([(header("l", tarfile.SYMTYPE, "/etc/passwd"), b"")]), "absolute"),
    "a tar hard link goes out": (lambda: tar_of([(header("l", tarfile.LNKTYPE, "../evil"), b"")]), "outside"),
    "a tar hard link leads nowhere": (
        lambda: tar_of([(header("l", tarfile.LNKTYPE, "none"), b"")]),
        "none",
    ),
    "a tar link leads nowhere": (lambda: tar_of([(header("l", tarfile.SYMTYPE, "none"), b"")]), "not a file of"),
    "a member is written through a link": (
        lambda: tar_of([(header("d", tarfile.SYMTYPE, "/elsewhere"), b""), ("d/evil", b"x")]),
        "link",
    ),
    "a tar holds a device": (lambda: tar_of([(header("d", tarfile.CHRTYPE), b"")]), "is a special file"),
    "a tar holds a pipe": (lambda: tar_of([(header("d", tarfile.FIFOTYPE), b"")]), "is a special file"),
    "a tar holds a name twice": (lambda: tar_of([("a", b"x"), ("a", b"y")]), "twice"),
    "a tar holds a file as a directory": (lambda: tar_of([("a", b"x"), ("a/b", b"y")]), "a file and a directory"),
    "a tar holds nothing": (lambda: tar_of([(header("d", tarfile.DIRTYPE), b"")]), "no file"),
    "a zip member goes up": (lambda: zip_of({"../evil": b"x"}), "outside"),
    "a zip member is absolute": (lambda: zip_of({"/evil": b"x"}), "outside"),
    "a zip member has a drive": (lambda: zip_of({"C:/evil": b"x"}), "outside"),
    "a zip member has backslashes": (lambda: zip_of({"..\\evil": b"x"}), "outside"),
    "a zip holds a link": (lambda: zip_of({_zip_link(): b"/etc/passwd"}), "a link or a device"),
    "a tar header is gigabytes": (lambda: _header_bomb(), "a header of many megabytes"),
}
DAMAGED: dict[str, Callable[[], bytes]] = {
    "tar cut": lambda: good("tar")[:100_000],
    "gz cut": lambda: good("gz")[:-2000],
    "gz flipped": lambda: good("gz")[:1000] + b"\xff" * 500 + good("gz")[1500:],
    "xz cut": lambda: good("xz")[:-100],
    "bz2 cut": lambda: good("bz2")[:-30],
    "zip cut": lambda: good("zip")[:-50],
    "no archive": lambda: b"just text, and more of it than a magic number",
    "empty": lambda: b"",
}


def _zip_link() -> zipfile.ZipInfo:
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    return link


def _header_bomb() -> bytes:
    """Return a tar.gz of 20 kB, one header of which is 20 MB long."""
    return tar_of([(header("x", tarfile.GNUTYPE_LONGNAME), bytes(20 << 20)), ("a", b"")], "w:gz")


@pytest.mark.parametrize("harm", HOSTILE)
def test_archive_is_refused_when_it_is_hostile(tmp_path: Path, harm: str) -> None:
    make, words = HOSTILE[harm]
    (tmp_path / "in").mkdir()
    with pytest.raises(StepError, match="the archive is refused") as caught:
        unpacked(tmp_path / "in", make())
    assert words in str(caught.value)
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["archive"]
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("harm", DAMAGED)
def test_archive_is_an_error_and_leaves_nothing_when_it_is_damaged(tmp_path: Path, harm: str) -> None:
    with pytest.raises(ReportedError, match=r"damaged|not an archive"):
        unpacked(tmp_path, DAMAGED[harm]())
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


@pytest.mark.parametrize("kind", ["gz", "zip"])
def test_bomb_is_refused_by_what_comes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(archive, "ALWAYS_BYTES", 1 << 20)
    zeros = bytes(20 << 20)
    with pytest.raises(StepError, match="it is a bomb: it unpacks to more than 200 times its size"):
        unpacked(tmp_path, tar_of([("z", zeros)], "w:gz") if kind == "gz" else zip_of({"z": zeros}))
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


def test_bomb_is_refused_when_it_has_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_MEMBERS", 10)
    with pytest.raises(StepError, match="more than 10 members"):
        unpacked(tmp_path, tar_of([(str(n), b"") for n in range(11)]))


def test_links_inside_become_files(tmp_path: Path) -> None:
    links = [(header("d/soft", tarfile.SYMTYPE, "../a"), b""), (header("hard", tarfile.LNKTYPE, "a"), b"")]
    out = unpacked(tmp_path, tar_of([("a", b"content"), *links]))
    assert contents(out) == dict.fromkeys(["a", "d/soft", "hard"], b"content")
    assert not [path for path in out.rglob("*") if path.is_symlink()]


def test_source_is_unpacked_and_held_to_the_sha256_of_the_archive(model: Model, hostile: Hostile) -> None:
    content = good("gz")
    url = hostile.put("/a.tgz", content, cut(500))
    model.declare(f'uri = "{url}"\npath = "x"\nunpack = true\nsha256 = "{sha256(content)}"')
    assert model.actions() == ["fetched"]
    assert model.files() == {f"x/{name}": text for name, text in FILES.items()}
    assert model.actions() == ["present"]
    (model.data / "x/top/a.txt").write_text("edited")
    hostile.put("/a.tgz", content, code(404))
    assert model.actions() == ["from cache"]
    assert model.files() == {f"x/{name}": text for name, text in FILES.items()}
    edited = {name.partition("/x/")[2]: text for name, text in model.desk().items()}
    assert edited == {**FILES, "top/a.txt": b"edited"}
