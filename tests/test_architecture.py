"""The import table of the architecture: who may import what. A breach fails with the file, the line and the rule."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = "scripts/"
MODEL_LIBRARIES = ("mlflow", "numpy", "pandas", "yaml")
# What of model_side a command line of the tool's environment may use: importing it imports no model library.
SHARED = (
    "carriage",
    "coercion",
    "downloads",
    "errors",
    "figures",
    "file_entry",
    "groups",
    "manifest",
    "model_files",
    "payload_csv",
    "payload_forms",
    "payloads",
    "publish",
    "redact",
    "requirements",
    "share",
    "signatures",
    "text_files",
    "uv_toml",
    "values",
    "verification",
)
SHARED_MODULES = tuple(f"model_side.{name}" for name in SHARED)
PURE = ("errors", "step", "graph", "staleness")
READING = (*PURE, "fingerprint", "ledger", "transaction", "includes", "uv_discovery", "machine", "packages")


class Rule(NamedTuple):
    """What the files of a pattern may import beside the standard library, and what of that library they must not."""

    files: str
    may: tuple[str, ...]
    never: tuple[str, ...] = ()


def pipeline(*names: str) -> tuple[str, ...]:
    return tuple(f"pipeline.{name}" for name in names)


ACTING = ("subprocess", "multiprocessing", "argparse")
# The first rule whose pattern fits a file holds for it.
TABLE = (
    Rule("scripts/pipeline/errors.py", (), ("os", "pathlib", "time", *ACTING)),
    *(Rule(f"scripts/pipeline/{name}.py", pipeline(*PURE), ("os", "pathlib", "time", *ACTING)) for name in PURE),
    Rule("scripts/pipeline/ledger.py", ("filelock", *pipeline(*READING)), ACTING),
    *(
        Rule(f"scripts/pipeline/{name}.py", (*pipeline(*READING), "model_side.redact"), ACTING)
        for name in ("packages", "uv_discovery")
    ),
    *(Rule(f"scripts/pipeline/{name}.py", pipeline(*READING), ACTING) for name in READING),
    Rule("scripts/pipeline/walk.py", pipeline(*READING), ACTING),
    Rule("scripts/pipeline/hosts.py", (), ("argparse",)),
    Rule("scripts/pipeline/processes.py", pipeline(*READING, "hosts"), ("argparse",)),
    Rule("scripts/pipeline/__init__.py", pipeline("runner", "step")),
    Rule("scripts/pipeline/changes.py", ("watchdog",), ACTING),
    Rule("scripts/pipeline/verbs.py", ("pipeline", "downloads.orphans"), ACTING),
    Rule("scripts/pipeline/*.py", ("pipeline",), ACTING),
    Rule("scripts/model_side/exports.py", ("model_side", *MODEL_LIBRARIES, "anndata")),
    Rule("scripts/model_side/*.py", ("model_side", *MODEL_LIBRARIES)),
    Rule("model_template/**.py", ("model_side", *MODEL_LIBRARIES)),
    *(
        Rule(f"scripts/{name}.py", ("model_side", *MODEL_LIBRARIES))
        for name in ("generate_mlflow_test_payload", "predict_func", "try_model", "verify")
    ),
    Rule("scripts/environments/*.py", ("environments", *pipeline("errors", "machine"))),
    Rule("scripts/scaffolding/*.py", ("scaffolding", "jinja2", *pipeline("errors", "step"))),
    Rule("scripts/downloads/*.py", ("downloads", "environments", "filelock", "fsspec", "requests", "urllib3", "rich",
                                    "tenacity", "tomlkit", *SHARED_MODULES,
                                    *pipeline("errors", "step", "fingerprint", "ledger", "machine", "packages",
                                              "processes"))),
    Rule("scripts/serving/watching/*.py", ()),
    Rule("scripts/serving/rest.py", ("serving", "model_side")),
    Rule("scripts/serving/*.py", ("serving", "environments", "filelock", "yaml", *SHARED_MODULES,
                                  *pipeline("errors", "machine", "processes"))),
    Rule("scripts/*.py", (*pipeline("errors", "includes"), "downloads", "environments", "scaffolding", "serving",
                          *SHARED_MODULES)),
    Rule("tasks.py", ("invoke", *pipeline("verbs")), ACTING),
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
    path = f"scripts/model_side/{name}.py"
    found = imports((REPOSITORY / path).read_text(encoding="utf-8"), path)
    at_once = [each.name for each in found if each.at_once]
    assert [each for each in at_once if each.split(".")[0] in ("mlflow", "numpy", "pandas")] == []
    assert [each for each in at_once if each.startswith("model_side.") and each.split(".")[1] not in SHARED] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("scripts/pipeline/staleness.py", "import os"),
        ("scripts/pipeline/step.py", "from .ledger import load_ledger"),
        ("scripts/pipeline/ledger.py", "from .runner import build"),
        ("scripts/pipeline/fingerprint.py", "import filelock"),
        ("scripts/pipeline/runner.py", "def f():\n    import mlflow"),
        ("scripts/pipeline/runner.py", "import subprocess"),
        ("scripts/pipeline/verbs.py", "import invoke"),
        ("scripts/model_side/save.py", "from pipeline.errors import UsageError"),
        ("scripts/predict_func.py", "from pipeline import errors"),
        ("scripts/download_data.py", "import verify"),
        ("scripts/download_data.py", "from model_side.save import save"),
        ("scripts/downloads/http.py", "import mlflow"),
        ("scripts/environments/uv.py", "from downloads import cache"),
        ("tasks.py", "import mlflow"),
        ("tasks.py", "from pipeline import runner"),
        ("elsewhere/new.py", "import os"),
        ("scripts/newcomer/new.py", "import os"),
    ],
)
def test_table_is_breached_by(path: str, source: str) -> None:
    assert len(breaches(source, path)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("scripts/pipeline/graph.py", "from .errors import UsageError\nimport difflib"),
        ("scripts/pipeline/processes.py", "import subprocess"),
        ("scripts/model_side/save.py", "from .errors import ModelError\nimport mlflow.pyfunc"),
        ("scripts/verify.py", "from model_side import errors"),
        ("scripts/serve_predict.py", "from model_side.payloads import read_payload\nimport subprocess"),
    ],
)
def test_table_is_kept_by(path: str, source: str) -> None:
    assert breaches(source, path) == []
