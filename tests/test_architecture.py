"""The import table of the architecture: who may import what. A breach fails with the file, the line and the rule."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = "scripts/"
MODEL_LIBRARIES = ("anndata", "cloudpickle", "mlflow", "numpy", "pandas", "yaml")
# The rooms of model_side in the order in which data flows: each may import itself and what is before it.
ROOMS = ("base", "model", "payload", "output", "package", "run", "verify")
# What of model_side the tool's environment may use: importing it imports no model library.
SHARED = (
    "base",
    "model.added",
    "model.declared_data",
    "model.manifest",
    "model.model",
    "model.requirements",
    "model.settings",
    "model.signature",
    "model.store",
    "package.travel",
    "package.unfinished",
    "payload.carried",
    "payload.coercion",
    "payload.csv",
    "payload.fingerprints",
    "payload.forms",
    "payload.inputs",
    "payload.payload",
    "payload.text",
    "payload.values",
)
SHARED_MODULES = tuple(f"model_side.{name}" for name in SHARED)
ACTING = ("subprocess", "multiprocessing", "argparse")


class Rule(NamedTuple):
    """What the files of a pattern may import beside the standard library, and what of that library they must not."""

    files: str
    may: tuple[str, ...]
    never: tuple[str, ...] = ()


def model_side(*names: str) -> tuple[str, ...]:
    return tuple(f"model_side.{name}" for name in names)


# The first rule whose pattern fits a file applies to it.
TABLE = (
    *(
        Rule(f"scripts/engine/{name}.py", ("engine",), ("os", "pathlib", "time", *ACTING))
        for name in ("errors", "step", "graph", "staleness")
    ),
    Rule("scripts/engine/lock.py", ("engine", "filelock"), ACTING),
    Rule("scripts/engine/hosts.py", ("engine",), ("argparse",)),
    Rule("scripts/engine/processes.py", ("engine",), ("argparse",)),
    Rule("scripts/engine/*.py", ("engine",), ACTING),
    # register runs in the model environment, the rest in the tool's.
    Rule("scripts/ship/register.py", ("ship", "mlflow", *SHARED_MODULES)),
    Rule("scripts/chain/foreground.py", ("chain", "engine", *model_side("base")), ("argparse",)),
    Rule("scripts/chain/screen.py", ("chain", "engine", "rich"), ACTING),
    Rule("scripts/chain/shipping.py", ("chain", "engine", "ship.ENVELOPE", "ship.MADE"), ACTING),
    *(
        Rule(f"scripts/chain/{name}.py", ("chain", "engine", "scaffolding", *SHARED_MODULES), ACTING)
        for name in ("new", "completion")
    ),
    Rule("scripts/chain/watch.py", ("chain", "engine", "watchdog", *model_side("base")), ACTING),
    Rule("scripts/chain/*.py", ("chain", "engine", "environments", "downloads.orphans", "ship.MADE", *SHARED_MODULES),
         ACTING),
    Rule("scripts/model_side/__init__.py", ()),
    Rule("scripts/model_side/command_line.py", (*model_side(*ROOMS), *MODEL_LIBRARIES)),
    *(
        Rule(f"scripts/model_side/{room}/*.py", (*model_side(*ROOMS[: number + 1]), *MODEL_LIBRARIES))
        for number, room in enumerate(ROOMS)
    ),
    Rule("model_template/**.py", ("model_side", *MODEL_LIBRARIES)),
    Rule("scripts/environments/*.py", ("environments", "packaging", *model_side("base"))),
    Rule("scripts/scaffolding/*.py", ("scaffolding", "jinja2", "engine.step", *model_side("base"))),
    # The engine's stat cache is shared: a downloaded file is hashed once.
    Rule("scripts/downloads/*.py", ("downloads", "environments", "filelock", "fsspec", "requests", "urllib3", "rich",
                                    "tenacity", "tomlkit", "engine.fingerprint", "engine.ledger", "engine.step",
                                    "engine.transaction",
                                    *model_side("base", "model.declared_data"))),
    Rule("scripts/plots/*.py", ("plots", "cycler", "matplotlib", "numpy")),
    # How outputs look is the model side's: its table of formats imports numpy, which the tool has, too.
    Rule("scripts/batch/*.py", ("batch", "environments", "filelock", "fsspec", "plots", "pyarrow", "ray", "rich",
                                "serving", "model_side.output.tables", *SHARED_MODULES)),
    Rule("scripts/serving/sandbox/watching/*.py", ()),
    # What counts as a write is one table, of the model side's.
    Rule("scripts/serving/sandbox/audit.py", ("serving.sandbox", "model_side.run.writes")),
    Rule("scripts/serving/sandbox/*.py", ("serving.sandbox", *SHARED_MODULES)),
    *(Rule(f"scripts/serving/{name}.py", ("serving", "model_side")) for name in ("asking", "rest")),
    Rule("scripts/serving/*.py", ("serving", "environments", "filelock", "yaml", *SHARED_MODULES)),
    # The libraries of the extra `ship` are imported by name, where they are used: see ship.facts.library.
    Rule("scripts/ship/*.py", ("ship", "engine.ledger", "engine.transaction", "environments", "jinja2", "numpy",
                               "packaging", "plots", "serving", "yaml", *SHARED_MODULES)),
    *(
        Rule(f"scripts/{name}.py", ("model_side", *MODEL_LIBRARIES))
        for name in ("generate_mlflow_test_payload", "predict_func", "try_model", "verify")
    ),
    Rule("scripts/batch_predict.py", ("batch", "model_side.output.tables", *SHARED_MODULES)),
    Rule("scripts/*.py", ("downloads", "environments", "scaffolding", "serving", "ship", *SHARED_MODULES)),
    Rule("tasks.py", ("invoke", "chain"), ACTING),
)  # fmt: skip


class Import(NamedTuple):
    """One import: the dotted name, its line, and whether importing the file does it at once."""

    name: str
    line: int
    at_once: bool


def imports(source: str, path: str) -> Iterator[Import]:
    """Yield the imports of a file, relative ones made absolute from scripts/."""
    tree = ast.parse(source)
    package = path.removeprefix(SCRIPTS).split("/")[:-1]
    late = {id(node) for outer in ast.walk(tree) if isinstance(outer, FUNCTIONS) for node in ast.walk(outer)}
    late |= {id(node) for outer in ast.walk(tree) if is_type_checking(outer) for node in ast.walk(outer)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, id(node) not in late)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            head = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(f"{head}.{alias.name}", node.lineno, id(node) not in late)


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def is_within(name: str, allowed: str) -> bool:
    return name == allowed or name.startswith(allowed + ".")


def breaches(source: str, path: str) -> list[str]:
    """Return a line for each import of a file that the table forbids."""
    rule = next((rule for rule in TABLE if fits(path, rule.files)), None)
    if rule is None:
        return [f"{path}: no rule of the import table holds for it"]
    return [f"{path}:{found.line}: imports {found.name}" for found in imports(source, path) if is_breach(found, rule)]


def fits(path: str, pattern: str) -> bool:
    """Tell whether a pattern names a path; its last ``*`` stands for no directory, ``**`` for any."""
    return fnmatch(path, pattern) and ("**" in pattern or path.count("/") == pattern.count("/"))


def is_breach(found: Import, rule: Rule) -> bool:
    if found.name.split(".")[0] in sys.stdlib_module_names:
        return any(is_within(found.name, name) for name in rule.never)
    return not any(is_within(found.name, name) for name in rule.may)


def sources() -> list[str]:
    files = [REPOSITORY / "tasks.py", *REPOSITORY.glob("scripts/**/*.py"), *REPOSITORY.glob("model_template/**/*.py")]
    return sorted(str(path.relative_to(REPOSITORY)) for path in files)


@pytest.mark.parametrize("path", sources())
def test_file_imports_only_what_the_table_allows(path: str) -> None:
    assert breaches((REPOSITORY / path).read_text(encoding="utf-8"), path) == []


@pytest.mark.parametrize("name", SHARED)
def test_module_that_the_tool_shares_imports_no_model_library_to_be_imported(name: str) -> None:
    place = REPOSITORY / "scripts" / "model_side" / name.replace(".", "/")
    for path in sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]:
        at_once = [each.name for each in imports(path.read_text(), str(path.relative_to(REPOSITORY))) if each.at_once]
        assert [each for each in at_once if each.split(".")[0] in ("mlflow", "numpy", "pandas")] == []
        ours = [each for each in at_once if is_within(each, "model_side")]
        assert [each for each in ours if not any(is_within(each, shared) for shared in SHARED_MODULES)] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("scripts/engine/staleness.py", "import os"),
        ("scripts/engine/fingerprint.py", "import filelock"),
        ("scripts/engine/runner.py", "def f():\n    import mlflow"),
        ("scripts/engine/runner.py", "import subprocess"),
        ("scripts/engine/runner.py", "from model_side.base.errors import StepError"),
        ("scripts/chain/verbs.py", "import invoke"),
        ("scripts/chain/verbs.py", "from serving.rest import ask"),
        ("scripts/chain/verbs.py", "from model_side.package.save import save_model"),
        ("scripts/model_side/package/save.py", "from engine.errors import UsageError"),
        ("scripts/model_side/payload/values.py", "from ..output.arrays import as_array"),
        ("scripts/predict_func.py", "from engine import errors"),
        ("scripts/download_data.py", "import verify"),
        ("scripts/download_data.py", "from model_side.package.save import save"),
        ("scripts/downloads/http.py", "import mlflow"),
        ("scripts/downloads/http.py", "from chain.packages import Package"),
        ("scripts/environments/uv.py", "from downloads import cache"),
        ("tasks.py", "import mlflow"),
        ("tasks.py", "from engine import runner"),
        ("elsewhere/new.py", "import os"),
        ("scripts/newcomer/new.py", "import os"),
    ],
)
def test_table_is_breached_by(path: str, source: str) -> None:
    assert len(breaches(source, path)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("scripts/engine/graph.py", "from .errors import UsageError\nimport difflib"),
        ("scripts/engine/processes.py", "import subprocess"),
        ("scripts/model_side/package/save.py", "from ..base.errors import StepError\nimport mlflow.pyfunc"),
        ("scripts/verify.py", "from model_side import errors"),
        ("scripts/serve_predict.py", "from model_side.payload.payload import read_payload\nimport subprocess"),
    ],
)
def test_table_is_kept_by(path: str, source: str) -> None:
    assert breaches(source, path) == []


def functions(path: str) -> Iterator[tuple[str, int]]:
    """Yield the name and the number of lines of each function in a file, without its docstring."""
    for node in ast.walk(ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))):
        if isinstance(node, FUNCTIONS):
            first = node.body[0]
            docstring = (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(node) is not None else 0
            yield f"{path}: {node.name}", (node.end_lineno or 0) - node.lineno + 1 - docstring


def test_modules_and_functions_are_small() -> None:
    paths = sources()
    lengths = {path: len((REPOSITORY / path).read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {path: length for path, length in lengths.items() if length > 300} == {}
    found = [each for path in paths for each in functions(path)]
    assert [each for each in found if each[1] > 60] == []
    assert median(length for _, length in found) <= 6


@pytest.mark.parametrize("path", sorted((REPOSITORY / "scripts").glob("*.py")), ids=lambda path: path.name)
def test_command_line_is_thin(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60
