"""One tiny model per archetype, each packaged once with the real mlflow of the tool environment."""

from __future__ import annotations

import functools
import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests import warm_python
from tests.object_store import object_store  # noqa: F401  a fixture
from tests.packager.conftest import Author, new_package

SCRIPTS = Path(__file__).parents[2] / "scripts"
SCALE = 'self.scale = float(open(context.artifacts["checkpoint"] + "/scale.txt").read())'
FILE = 'import pandas\nINPUT_EXAMPLE = pandas.DataFrame({"input_uri": ["model_data/tiny.txt"]})'


@dataclass(frozen=True)
class Tiny:
    """What an author writes into an archetype's templates, and a payload with its answer."""

    bodies: Mapping[str, str]
    example: str
    payload: Mapping[str, Any]
    predictions: Any = None


MODELS = {
    "file_uri_to_tensor": Tiny(
        {"_get_input": "return np.loadtxt(uri, ndmin=2)", "_forward": 'return (input_obj * self.scale).astype("f4")'},
        FILE,
        {"dataframe_split": {"columns": ["input_uri"], "data": [["artifact://input_example"]] * 2}},
        [[0.5, 1.0, 1.5], [2.0, 2.5, 3.0]] * 2,
    ),
    "file_uri_to_dataframe": Tiny(
        {
            "_get_input": "import numpy as np\n        return np.loadtxt(uri, ndmin=2)",
            "_forward": 'return pd.DataFrame({"name": ["a", "b"], "score": input_obj.sum(axis=1) * self.scale})',
        },
        FILE,
        {"dataframe_split": {"columns": ["input_uri"], "data": [["artifact://input_example"]] * 2}},
        [{"name": "a", "score": 3.0}, {"name": "b", "score": 7.5}] * 2,
    ),
    "text_to_tensor": Tiny(
        {
            "_get_input": "return [len(text) for text in texts]",
            "_forward": 'return np.array([[n * self.scale, n] for n in input_obj], "float32")',
        },
        'import pandas\nINPUT_EXAMPLE = pandas.DataFrame({"text": ["a", "naïve"]})',
        {"dataframe_split": {"columns": ["text"], "data": [["abc"], ["日本"], [""]]}},
        [[1.5, 3.0], [1.0, 2.0], [0.0, 0.0]],
    ),
    "tensor_to_tensor": Tiny(
        {"_get_input": "return tensor - 1", "_forward": 'return (input_obj * self.scale).astype("float32")'},
        'INPUT_EXAMPLE = np.ones((2, 3), "float32")',
        {"inputs": [[1.0, 2.0], [3.0, 5.0], [1.0, 1.0]]},
        [[0.0, 0.5], [1.0, 2.0], [0.0, 0.0]],
    ),
    "dataframe_to_dataframe": Tiny(
        {
            "_get_input": 'return table["value"].to_numpy()',
            "_forward": 'return pd.DataFrame({"score": input_obj * self.scale})',
        },
        'import pandas\nINPUT_EXAMPLE = pandas.DataFrame({"value": [0.5, 1.5]})',
        {"dataframe_records": [{"value": 3.0}, {"value": 4.0}, {"value": 5.0}]},
        [{"score": 1.5}, {"score": 2.0}, {"score": 2.5}],
    ),
    "file_uri_to_file": Tiny(
        {
            "_get_input": "import numpy as np\n        return np.loadtxt(uri, ndmin=2)",
            "_forward": "import numpy as np\n        np.save(output_path, input_obj * self.scale)",
        },
        FILE,
        {"dataframe_split": {"columns": ["input_uri"], "data": [["artifact://input_example"]]}},
    ),
}


@dataclass
class Model:
    """A package of an archetype, and the command lines that a person runs on it."""

    author: Author
    directory: Path

    def run(self, script: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a script of the repository on the MLflow Model."""
        done = warm_python.run(SCRIPTS / script, "--model-uri", str(self.author.model), *words, cwd=self.directory)
        print(done.stderr)
        return done

    def predict(self, payload: object) -> subprocess.CompletedProcess[str]:
        """Predict from a payload."""
        path = self.directory / "payload.json"
        path.write_text(json.dumps(payload))
        return self.run("predict_func.py", "--json-payload-file", str(path))

    def predictions(self, payload: object) -> Any:
        """Return the predictions for a payload."""
        done = self.predict(payload)
        assert done.returncode == 0
        return json.loads(done.stdout)["predictions"]


PackageOf = Callable[[str], Model]


def write(base: Path, archetype: str, like: str = "", **bodies: str) -> Author:
    """Return a package whose author filled everything in, as for `like`; `bodies` stand in for the good ones."""
    tiny = MODELS[like or archetype]
    author = new_package(base, archetype)
    author.write(**{"load_context": SCALE, **tiny.bodies, **bodies})
    spec = author.root / "model_spec.py"
    text = spec.read_text().replace("INPUT_EXAMPLE = None", tiny.example)
    spec.write_text(text.replace("ARTIFACTS = {}", 'ARTIFACTS = {"checkpoint": "model_data/tf_tiny"}'))
    return author


@pytest.fixture(scope="session")
def package_of(tmp_path_factory: pytest.TempPathFactory) -> PackageOf:
    """Return a function that returns the good model of an archetype, made once."""
    made: dict[str, Model] = {}

    def of(archetype: str) -> Model:
        if archetype not in made:
            directory = tmp_path_factory.mktemp(archetype)
            author = write(directory, archetype)
            assert author.package().returncode == 0
            made[archetype] = Model(author, directory)
        return made[archetype]

    return of


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[str]:
    """Give the address of a file on an HTTP server."""
    (tmp_path / "far.txt").write_text("2 4 6")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/far.txt"
        server.shutdown()
        thread.join()
