"""A model only reads its own files, the author's data and its inputs: who writes to them is told which, at once."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from model_side.base.read_only import can_hold

from .conftest import BODIES, FLAGS, Author

OUTPUT = 'np.ones((len(input_obj), 4), "float32")'
WEIGHTS = 'context.artifacts["checkpoint"] + "/scale.txt"'
# What a model does that is not its business, and the file that it leaves another, from the package on.
WRITES: dict[str, tuple[dict[str, str], str]] = {
    "a log beside its weights": (
        {"load_context": 'open(context.artifacts["checkpoint"] + "/last_used.txt", "w").close()'},
        "artifacts/tf_tiny/last_used.txt",
    ),
    "weights opened for writing": (
        {"load_context": f'self.scale = open({WEIGHTS}, "r+").write("0.5")'},
        "artifacts/tf_tiny/scale.txt",
    ),
    "weights in mapped memory": (
        {"load_context": f'np.memmap({WEIGHTS}, "S1", "r+")[0] = b"1"'},
        "artifacts/tf_tiny/scale.txt",
    ),
    "weights replaced by the same": (
        {"load_context": f"import shutil; new = shutil.copy2({WEIGHTS}, {WEIGHTS} + 'n'); shutil.move(new, new[:-1])"},
        "artifacts/tf_tiny/scale.txt",
    ),
    "an index beside its input": (
        {"_get_input": 'open(uri + ".fai", "w").close(); return np.loadtxt(uri, ndmin=2)'},
        "artifacts/tiny.txt.fai",
    ),
    "its input, normalised in place": (
        {"_get_input": "data = np.loadtxt(uri, ndmin=2); np.savetxt(uri, data / data.sum()); return data"},
        "artifacts/tiny.txt",
    ),
    "a cache in its code": (
        {"_forward": f'open(__file__ + ".cache", "w").close(); return {OUTPUT}'},
        "code/model_code/tiny_mlflow_model.py.cache",
    ),
}


def data_of(author: Author) -> Mapping[str, bytes]:
    return {str(path): path.read_bytes() for path in (author.root / "model_data").rglob("*") if path.is_file()}


@pytest.mark.parametrize(("bodies", "name"), WRITES.values(), ids=WRITES)
def test_packager_names_the_file_and_the_last_good_model_stands_when_the_model_writes(
    packaged: Author, bodies: dict[str, str], name: str, tmp_path: Path
) -> None:
    before, data = packaged.files(), data_of(packaged)
    for method, body in bodies.items():
        packaged.replace(BODIES[method], body if method != "load_context" else f"{body}; self.scale = 0.5")
    done = packaged.package(*FLAGS, TMPDIR=str(tmp_path))
    assert done.returncode == 1
    assert "writes elsewhere" not in done.stderr
    assert "wrote to files that a model may only read: " in done.stderr
    assert f"mlflow_model_artifacts/{name}. Open" in done.stderr
    assert "tempfile.mkdtemp()" in done.stderr
    assert (packaged.files(), data_of(packaged)) == (before, data)


def test_packager_names_weights_that_are_changed_in_mapped_memory_of_a_file_system_that_keeps_no_time(
    packaged: Author,
) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:  # a tmpfs, where a write after a read tells nobody
        author = Author(Path(shutil.copytree(packaged.root, Path(place, packaged.root.name))))
        before = author.files()
        body = f'w = np.memmap({WEIGHTS}, "S1", "r+"); self.scale = 0.5 * (w[0] == b"0"); w[-1] = b"7"'
        author.replace(BODIES["load_context"], body)
        done = author.package(*FLAGS)
        assert done.returncode == 1
        assert "a model may only read: got mlflow_model_artifacts/artifacts/tf_tiny/scale.txt. Open" in done.stderr
        assert author.files() == before


def test_packager_names_what_is_written_elsewhere_also_by_a_pickle_that_calls_code(
    author: Author, tmp_path: Path
) -> None:
    made, cache = "import os, pickle; home = os.path.expanduser('~')", "open(home + '/.cache_of_tiny', 'w').close()"
    pickled = r"os.path.exists(home + '/made') or pickle.loads(b'cos\nmkdir\n(V' + home.encode() + b'/made\ntR.')"
    author.replace(BODIES["load_context"], f"{made}; {cache}; {pickled}; self.scale = 0.5")
    (tmp_path / "home").mkdir()
    done = author.package(*FLAGS, HOME=str(tmp_path / "home"))
    assert done.returncode == 0
    assert "writes elsewhere than in temporary directories: ~/.cache_of_tiny, ~/made. Where" in done.stderr


def test_what_is_cached_beside_bytecode_neither_counts_nor_travels(author: Author) -> None:
    cache = "import os; os.makedirs(os.path.dirname(__file__) + '/__pycache__', exist_ok=True); "
    cache += "open(os.path.dirname(__file__) + '/__pycache__/tiny.nbi', 'w').close(); "
    author.replace(BODIES["_forward"], f"{cache}return {OUTPUT}")
    done = author.package(*FLAGS)
    assert (done.returncode, "writes elsewhere" in done.stderr) == (0, False)
    assert not [name for name in author.files() if "__pycache__" in name]


@pytest.mark.skipif(not can_hold(Path(__file__)), reason="this system has no namespaces for users")
@pytest.mark.parametrize("flags", [("--link-artifacts",), ("--json-payload-filepath", "payload.json")], ids=str)
def test_data_of_the_author_is_as_it_was_when_the_model_writes_to_it_by_a_link_or_a_payload(
    packaged: Author, flags: tuple[str, ...]
) -> None:
    before, data = packaged.files(), data_of(packaged)
    other = packaged.root / "model_data" / "other.txt"
    other.symlink_to(packaged.root / "model_data" / "tf_tiny" / "scale.txt")
    (packaged.root / "payload.json").write_text(json.dumps({"inputs": {"input_uri": ["model_data/other.txt"]}}))
    writes = 'np.savetxt(uri, [[1.0]]) if "other" in uri or self.linked else None; return np.loadtxt(uri, ndmin=2)'
    packaged.replace(BODIES["load_context"], f"{BODIES['load_context']}; self.linked = {'--link-artifacts' in flags}")
    packaged.replace(BODIES["_get_input"], writes)
    done = packaged.package(*FLAGS, *flags)
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr
    assert "Open what it only reads for reading" in done.stderr
    other.unlink()
    assert (packaged.files(), data_of(packaged)) == (before, data)
