"""Several packaged models in one process: each answers with its own code."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import BODIES, FLAGS, new_package

# What a model's code imports, at its top and late, by the name of the package and relatively; and what it keeps.
CODE = {
    "top.py": "import model_code.deep.inner\nfrom model_code import deep\nTOP = model_code.deep.inner.N * deep.SIGN\n",
    "deep/__init__.py": "SIGN = 1\n",
    "deep/inner.py": "N = {n}\n",
    "late.py": "from . import sums\nfrom .deep.inner import N\nLATE = 10 * N\n",
    "sums.py": "import math\n\n\ndef total(values):\n    return math.fsum(values)\n",
    "kept.py": "STATE = {{}}\n\n\nclass Kept:\n    n = {n}\n",
}
# Names that are no import statements: of a module, as an author or a library gives it, and of a class in a pickle.
NAMED = {
    "import": "import importlib\n        importlib.import_module('model_code.{module}')",
    "plugin": "import pkgutil\n        pkgutil.resolve_name('model_code.{module}')",
    "pickle": "import pickle\n        pickle.loads(b'cmodel_code.{module}\\nKept\\n.')",
    "python pickle": "import pickle\n        pickle._loads(b'cmodel_code.{module}\\nKept\\n.')",
    "modules": "import sys\n        sys.modules['model_code.top'].TOP",
    "set": "import sys\n        sys.modules['model_code.top'].TOP = 0",
    "data": "import pkgutil\n        pkgutil.get_data('model_code.deep', 'inner.py')",
    "thread": """from concurrent.futures import ThreadPoolExecutor as Pool
        Pool(1).submit(__import__("importlib").import_module, 'model_code.{module}').result()""",
    "shared thread": """import concurrent.futures, pickle
        concurrent.futures.shared.submit(pickle.loads, b'cmodel_code.{module}\\nKept\\n.').result()""",
}
WANTED = {"plugin": "model_code", "modules": "model_code.top", "set": "model_code.top"}
FORWARD = """import model_code.late as late
        from model_code import sums
        from model_code.kept import STATE
        first = STATE.setdefault("scale", self.scale)
        kept = 100 * self.kept.n if hasattr(self, "kept") else 0
        number = sums.total([TOP, late.LATE, 1000 * first, kept])
        return np.full((len(input_obj), 4), number, "float32")"""
SETTING = """def __init__(self):
        from model_code.kept import Kept

        self.kept = Kept()"""
# Loads models in turn, asks each when all are there, and shows the answers.
TOGETHER = """
import json, sys, pandas, mlflow.pyfunc
models = [mlflow.pyfunc.load_model(path) for path in sys.argv[1:]]
frame = pandas.DataFrame({"input_uri": ["artifact://input_example"]})
print(json.dumps([float(model.predict(frame)[0][0]) for model in models]))
"""

Package = Callable[..., Path]


def together(*models: Path, script: str = TOGETHER) -> subprocess.CompletedProcess[str]:
    """Load models in one new process."""
    command = [sys.executable, "-W", "error::ImportWarning", "-c", script, *map(str, models)]
    return subprocess.run(command, cwd=models[0].parent, capture_output=True, text=True, check=False)


def answers(*models: Path, script: str = TOGETHER) -> Any:
    """Return the answers of models in one new process."""
    done = together(*models, script=script)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Return a function that packages the same model with other numbers in its code and its weights.

    The model answers with 11 times the number, 1000 times the weight and, where it `keeps` an object of its own code,
    100 times the number.
    """
    author = new_package(tmp_path_factory.mktemp("side by side"))
    author.write(**{**BODIES, "_forward": FORWARD})
    author.replace("from . import", "from .top import TOP\nfrom . import")

    @functools.cache
    def make(number: int, scale: float = 0.0, serialization: str = "pickle", *, keeps: bool = False) -> Path:
        for file, text in CODE.items():
            (author.code.parent / file).parent.mkdir(exist_ok=True)
            (author.code.parent / file).write_text(text.format(n=number))
        if keeps and SETTING not in author.code.read_text():
            author.add(SETTING)
        (author.root / "model_data" / "tf_tiny" / "scale.txt").write_text(str(scale))
        assert author.package(*FLAGS, "--serialization", serialization).returncode == 0
        return Path(shutil.copytree(author.model, tmp_path_factory.mktemp("made") / "model"))

    return make


def test_versions_of_a_model_answer_with_their_own_code_and_state_when_pickled(package: Package) -> None:
    one, two, heavier = package(1), package(2), package(2, 3.0)
    assert answers(one, two, heavier, one) == [11, 22, 3022, 11]
    assert answers(heavier, two, one) == [3022, 22, 11]


# What loads the class of a model that was packaged without a name of its own: as version 0.2 did, and as MLflow does.
OLDER = {
    "pickled": "\x80\x04cmodel_code.tiny_mlflow_model\nTinyMLflowModel\n)\x81.",
    "imported": "from model_code.tiny_mlflow_model import TinyMLflowModel as made",
    "module": "import model_code.tiny_mlflow_model as own; made = own.TinyMLflowModel",
    "name": "import importlib; made = importlib.import_module('model_code.tiny_mlflow_model').TinyMLflowModel",
}


@pytest.fixture(scope="module")
def older(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that makes a model with the number 1 whose class is known by the name its author gave it."""

    @functools.cache
    def make(way: str) -> Path:
        source = package(1, 0.0, "pickle" if way == "pickled" else "code")
        old = Path(shutil.copytree(source, tmp_path_factory.mktemp("older") / way))
        (own,) = (old / "code").glob("model_code_*.py")
        own.unlink()
        if way == "pickled":
            (old / "python_model.pkl").write_bytes(OLDER[way].encode("latin-1"))
        else:
            (old / "model.py").write_text(f"import mlflow.models\n{OLDER[way]}\nmlflow.models.set_model(made())\n")
        return old

    return make


@pytest.mark.parametrize("way", ["pickled", "imported"])
def test_model_answers_with_its_own_code_beside_one_of_an_earlier_version(
    package: Package, older: Callable[[str], Path], way: str
) -> None:
    assert answers(older(way), package(2), package(2, 3.0), older(way)) == [11, 22, 3022, 11]


# Loads models, and then tries others, also in a thread.
REFUSED = """
import json, sys, pandas, mlflow.pyfunc
from concurrent.futures import ThreadPoolExecutor as Pool
paths, said, load = iter(sys.argv[1:]), [], mlflow.pyfunc.load_model
models = [load(path) for path in iter(lambda: next(paths), "--")]
for path in paths:
    for call in (load, lambda path: Pool(1).submit(load, path).result()):
        try:
            said.append(call(path).predict(pandas.DataFrame({"input_uri": ["artifact://input_example"]})).tolist())
        except (ImportError, mlflow.MlflowException) as error:
            said.append(str(error))
frame = pandas.DataFrame({"input_uri": ["artifact://input_example"]})
print(json.dumps([*(float(model.predict(frame)[0][0]) for model in models), *said]))
"""


@pytest.mark.parametrize(
    ("numbers", "ways"),
    [([2], ["pickled"]), ([2], [*OLDER][::-1]), pytest.param([2, 3], OLDER, marks=pytest.mark.heavy)],
    ids=str,
)
def test_model_of_an_earlier_version_never_gets_the_code_of_those_before_it(
    package: Package, older: Callable[[str], Path], numbers: list[int], ways: list[str]
) -> None:
    tried = [older(way) for way in ways]
    found = answers(*map(package, numbers), Path("--"), *tried, script=REFUSED)
    assert found[: len(numbers)] == [11 * number for number in numbers]
    for said, model in zip(found[len(numbers) :], [each for each in tried for _ in range(2)], strict=True):
        assert f"{model}: its class is in model_code" in said
        assert "which is another model's in this process. Load it in a process of its own, or package it anew" in said


def test_packages_are_loaded_from_several_threads_at_once(package: Package) -> None:
    script = TOGETHER.replace(
        "[mlflow.pyfunc.load_model(path) for path in sys.argv[1:]]", "list(pool.map(load, paths))"
    )
    threads = "from concurrent.futures import ThreadPoolExecutor as Pool\nimport sys, mlflow.pyfunc\n"
    threads += "load, paths, pool = mlflow.pyfunc.load_model, sys.argv[1:], Pool(8)\n"
    assert answers(*[package(1), package(2)] * 4, script=threads + script) == [11, 22] * 4


# A model in one place is packaged again between two loads, as from a notebook; then what a worker process would import.
AGAIN = """
import importlib.machinery, json, shutil, sys, pandas, mlflow.pyfunc
first, second = sys.argv[1:]
frame = pandas.DataFrame({"input_uri": ["artifact://input_example"]})
one = mlflow.pyfunc.load_model(first)
shutil.rmtree(first + "/code")
shutil.copytree(second, first, dirs_exist_ok=True)
two = mlflow.pyfunc.load_model(first)
three = mlflow.pyfunc.load_model(second)
origin = importlib.machinery.PathFinder.find_spec("model_code").origin
print(json.dumps([*(float(model.predict(frame)[0][0]) for model in (two, three)), origin]))
"""


def test_model_that_was_packaged_again_in_its_place_answers_with_its_new_code(package: Package, tmp_path: Path) -> None:
    place = Path(shutil.copytree(package(1), tmp_path / "place"))
    assert answers(place, package(2), script=AGAIN) == [22, 22, str(place / "code" / "model_code" / "__init__.py")]


# Loads a first model, which may name its own code, and then tries each of the others.
TRIED = """
import concurrent.futures, json, sys, pandas, mlflow.pyfunc
concurrent.futures.shared = concurrent.futures.ThreadPoolExecutor(1)
concurrent.futures.shared.submit(int).result()  # its thread, as a library's, is older than the models
first, *others = sys.argv[1:]
model = mlflow.pyfunc.load_model(first)
said = []
for other in others:
    try:
        mlflow.pyfunc.load_model(other)
    except (ImportError, AttributeError, ValueError) as error:
        said.append(str(error))
frame = pandas.DataFrame({"input_uri": ["artifact://input_example"]})
print(json.dumps([float(model.predict(frame)[0][0]), *said]))
"""


@pytest.mark.parametrize("way", [None, "import"])  # that module of the first model was imported before, or was not
def test_model_whose_code_is_named_by_texts_never_gets_that_of_another(
    package: Package, tmp_path: Path, way: str | None
) -> None:
    def load_by_name(way: str, model: Path) -> Path:
        copy = Path(shutil.copytree(model, tmp_path / f"{model.parent.name} {way}"))
        (code,) = (copy / "code" / "model_code").glob("*_mlflow_model.py")
        before = "        self.scale = "
        assert before in code.read_text()
        code.write_text(code.read_text().replace(before, f"        {NAMED[way].format(module='kept')}\n{before}"))
        return copy

    one = load_by_name(way, package(1)) if way else package(1)
    others = [load_by_name(each, package(2)) for each in NAMED]
    answer, *said = answers(one, *others, script=TRIED)
    assert answer == 11
    named = [
        f"{other}: its code asks for {WANTED.get(way, 'model_code.kept')}"
        for way, other in zip(NAMED, others, strict=True)
    ]
    in_thread = "model_code.kept: a thread asks for it"
    assert [text.partition(" by name")[0] for text in said] == [
        *named[:-3],
        "model_code.deep.__spec__ is not set",
        in_thread,
        in_thread,
    ]


# What a pool's own threads import of the model's code, for the first time in this process.
POOLS = {
    "threads": """from concurrent.futures import ThreadPoolExecutor as Pool
        late = Pool(1).submit(__import__("importlib").import_module, "model_code.kept").result()
        self.scale = 1000 * late.Kept.n + """,
    "processes": """import multiprocessing
        with multiprocessing.get_context("fork").Pool(1) as pool:
            made = pool.apply_async(eval, ["__import__('model_code.kept').kept.Kept()"]).get(60)
        self.scale = 1000 * made.n + """,
}


@pytest.mark.parametrize("pool", POOLS)
def test_single_model_imports_its_code_in_the_threads_of_a_pool(package: Package, tmp_path: Path, pool: str) -> None:
    model = Path(shutil.copytree(package(1), tmp_path / "model"))
    (code,) = (model / "code" / "model_code").glob("*_mlflow_model.py")
    text = code.read_text().replace("self.scale = ", POOLS[pool])
    code.write_text(text)
    assert answers(model) == [10**6 + 11]


# What processes of a model's own give back: objects of its code.
PROCESSES = """import concurrent.futures, multiprocessing
        context = multiprocessing.get_context("{how}")
        with context.Pool(1) as pool:
            made = pool.map_async(Made, [1]).get(60)
        with concurrent.futures.ProcessPoolExecutor(1, context) as executor:
            made.append(executor.submit(Made, 10).result(60))
        queue = context.Queue()
        context.Process(target=put, args=(queue, Made)).start()
        made.append(queue.get(timeout=60))
        first = sum(each.number for each in made) + 0 * """
MADE = """

class Made:
    def __init__(self, times):
        self.number = times * TOP

def put(queue, kind):
    queue.put(kind(100))
"""


@pytest.mark.parametrize("how", ["fork", pytest.param("spawn", marks=pytest.mark.heavy)])
def test_models_get_objects_of_their_code_back_from_their_own_processes(
    package: Package, tmp_path: Path, how: str
) -> None:
    models = []
    for model in (package(1), package(2)):
        models.append(Path(shutil.copytree(model, tmp_path / model.parent.name)))
        (code,) = (models[-1] / "code" / "model_code").glob("*_mlflow_model.py")
        code.write_text(code.read_text().replace("first = ", PROCESSES.format(how=how)) + MADE)
    assert answers(*models) == [111011, 222022]


# A model that looks through all modules, as inspect does, and what only its own have.
SCAN = """import inspect, pickle, sys
        inspect.getmodule(inspect.currentframe())
        pickle.dumps([np.add, np.float32])
        own = [module for module in [*sys.modules.values()] if getattr(module, "TOP", None)]
        self.scale = 1000 * len(own) + own[0].TOP / 1000 + """


def test_code_that_looks_through_all_modules_finds_its_own_alone(package: Package, tmp_path: Path) -> None:
    two = Path(shutil.copytree(package(2), tmp_path / "two"))
    (code,) = (two / "code" / "model_code").glob("*_mlflow_model.py")
    code.write_text(code.read_text().replace("self.scale = ", SCAN))
    assert answers(package(1), two) == [11, 2 * 10**6 + 2 + 22]


# From here on the models keep objects of their code: the author's code stays so.


def test_versions_of_a_model_answer_with_their_own_code_and_state_when_made_by_code(package: Package) -> None:
    one, two, heavier = (package(*numbers, "code", keeps=True) for numbers in ((1, 0.0), (2, 0.0), (2, 3.0)))
    assert answers(one, two, heavier, one) == [111, 222, 3222, 111]
    assert answers(heavier, two, one) == [3222, 222, 111]


def test_pickled_model_that_keeps_objects_of_its_code_says_so_where_it_cannot_be_beside_another(
    package: Package,
) -> None:
    one, two = package(1, keeps=True), package(2, keeps=True)
    assert answers(one, package(2, 0.0, "code", keeps=True)) == [111, 222]
    done = together(one, two)
    assert done.returncode == 1
    assert f"ImportError: {two}: its pickle needs model_code, which is another model's in this process." in done.stderr
