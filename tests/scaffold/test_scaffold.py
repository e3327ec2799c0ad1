"""The scaffold: what it makes, what it refuses, and that an author's work is kept."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import generate_model_pkg_dir_structure as command
import pytest

from model_side.base.errors import run_main
from scaffolding import render as rendering

Capture, Patch, Template = pytest.CaptureFixture[str], pytest.MonkeyPatch, Callable[[str, str], None]
REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
TREE = {
    *("mlflow_packager.py", "model_spec.py", "requirements.in", "model_data.toml", ".python-version"),
    *("model_code/__init__.py", "model_code/transcriptformer_mlflow_model.py", "model_data/.gitignore"),
}


def run(*argv: object) -> int:
    return run_main(lambda: command.main([str(word) for word in argv]))


def make(target: Path, name: str = "transcriptformer", *flags: object) -> Path:
    assert run("--model-name", name, "--target", target, *flags) == 0
    return target / f"{name}_mlflow_pkg"


def files(root: Path) -> dict[str, bytes]:
    paths = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def test_scaffold_makes_the_tree_of_the_manual_way_when_called_as_by_hand(tmp_path: Path) -> None:
    script = REPOSITORY / "scripts" / "generate_model_pkg_dir_structure.py"
    words = ["--model-name", "transcriptformer", "--target", str(tmp_path)]
    words += ["--pkg-template", "mlflow_template", "--model-archetype", "file_uri_to_tensor"]
    subprocess.run([sys.executable, str(script), *words], check=True)
    root = tmp_path / "transcriptformer_mlflow_pkg"
    assert {path for path in files(root) if not path.startswith(".pipeline/")} == TREE
    assert files(root / ".pipeline" / "model_side") == files(REPOSITORY / "scripts" / "model_side")
    assert set(files(root / ".pipeline" / "scaffold")) == TREE


METHODS = {"load_context": "context", "_get_input": "uri", "_forward": "input_obj"}


@pytest.mark.parametrize("archetype", rendering.archetypes())
def test_authors_file_is_three_methods_and_nothing_else_when_new(tmp_path: Path, archetype: str) -> None:
    root = make(tmp_path, "tiny", "--model-archetype", archetype)
    tree = ast.parse((root / "model_code" / "tiny_mlflow_model.py").read_text())
    *imports, model = tree.body[1:]
    assert all(isinstance(node, ast.Import | ast.ImportFrom) for node in imports)
    assert isinstance(model, ast.ClassDef)
    assert model.name == "TinyMLflowModel"
    methods = {node.name: node for node in model.body if isinstance(node, ast.FunctionDef)}
    assert list(methods) == list(METHODS)
    assert len(model.body) == 1 + len(methods)  # and a docstring
    assert all(isinstance(node.body[-1], ast.Raise) for node in methods.values())
    assert all(len(ast.get_docstring(node) or "") > 100 for node in methods.values())
    if archetype == "file_uri_to_tensor":
        assert {name: node.args.args[1].arg for name, node in methods.items()} == METHODS


BAD_NAMES = ["my-model", "1st", "", "class", "match", "json", "numpy", "a/b", "../up", "a b", "modèle", "mlflow"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_scaffold_refuses_and_writes_nothing_when_the_name_is(name: str, tmp_path: Path, capsys: Capture) -> None:
    assert run("--model-name", name, "--target", tmp_path) == 2
    said = capsys.readouterr().err
    assert "--model-name" in said
    assert repr(name) in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model-archetype", "file_uri_to_tensr"], ["--model-archetype", "Did you mean 'file_uri_to_tensor'"]),
        (["--pkg-template", "mlflow_templat"], ["--pkg-template", "Did you mean 'mlflow_template'"]),
        (["--pkg-template", "x"], ["--pkg-template", "mlflow_template"]),
        (["--overlay", "nowhere"], ["--overlay", "nowhere"]),
        (["--target", __file__], ["--target: not a directory"]),
        (["--target", "nowhere"], ["--target: no such directory"]),
        (["--update"], ["no such package"]),
    ],
)
def test_scaffold_names_the_flag_and_leaves_nothing_when_the_request_is_invalid(
    flags: list[str], words: list[str], tmp_path: Path, capsys: Capture
) -> None:
    assert run("--model-name", "foo", "--target", tmp_path, *flags) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words)
    assert list(tmp_path.iterdir()) == []


def test_archetypes_are_listed_with_their_contracts(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        run("--list-archetypes")
    assert caught.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == rendering.archetypes()
    assert "file_uri_to_tensor      Files by URI in, one tensor out: any number of rows for each file." in lines


def test_package_is_kept_when_it_exists(tmp_path: Path, capsys: Capture) -> None:
    root = make(tmp_path)
    (root / "requirements.in").write_text("mine\n")
    before = files(root)
    assert run("--model-name", "transcriptformer", "--target", tmp_path) == 2
    assert "exists already" in capsys.readouterr().err
    assert files(root) == before


def test_package_of_an_examples_name_stays_its_authors_when_it_was_made_without_the_overlay(tmp_path: Path) -> None:
    root = make(tmp_path, "transcriptformer")
    before = files(root)
    overlay = ["--overlay", EXAMPLES / "transcriptformer"]
    for words in (["--refresh", *overlay], ["--update", *overlay], ["--update"], ["--refresh"]):
        assert run("--model-name", "transcriptformer", "--target", tmp_path, *words) == 0
        assert files(root) == before


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.iterdir()))
def test_bundled_model_stays_whole_when_its_package_is_brought_up_to_date_without_the_overlay(
    name: str, tmp_path: Path, capsys: Capture
) -> None:
    root = make(tmp_path, name, "--overlay", EXAMPLES / name)
    made = files(root)
    assert made.items() >= files(EXAMPLES / name).items()
    assert not [path for path, content in made.items() if b"raise NotImplementedError" in content and "code/" in path]
    base = re.findall(r"^from \. import (\w+)", made[f"model_code/{name}_mlflow_model.py"].decode(), re.MULTILINE)
    assert f"\nclass {base[0]}(" in made["model_code/__init__.py"].decode()  # of the model's archetype
    for flag in ("--diff", "--update", "--update", "--refresh"):
        assert run("--model-name", name, "--target", tmp_path, flag) == 0
        assert files(root) == made
    assert capsys.readouterr().out == ""


def test_authors_edits_of_an_example_are_merged_with_what_it_has_become(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(rendering, "EXAMPLES", tmp_path / "examples")
    example = Path(shutil.copytree(EXAMPLES / "pbmc_pca", tmp_path / "examples" / "pbmc_pca"))
    root = make(tmp_path, "pbmc_pca", "--overlay", example)
    (root / "notes.md").write_text("mine")
    spec, requirements = root / "model_spec.py", example / "requirements.in"
    spec.write_text(spec.read_text() + "# mine\n")
    requirements.write_text(requirements.read_text() + "scipy\n")
    assert run("--model-name", "pbmc_pca", "--target", tmp_path, "--update") == 0
    assert spec.read_text() == (example / "model_spec.py").read_text() + "# mine\n"
    assert (root / "requirements.in").read_bytes() == requirements.read_bytes()
    assert (root / "notes.md").read_text() == "mine"


@pytest.mark.parametrize("flag", ["--diff", "--update", "--refresh"])
def test_nothing_is_touched_when_the_overlay_of_a_package_has_been_removed(
    flag: str, tmp_path: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    overlay = Path(shutil.copytree(EXAMPLES / "pbmc_pca", tmp_path / "elsewhere"))
    root = make(tmp_path, "mine", "--overlay", overlay)
    before = files(root)
    assert run("--model-name", "mine", "--target", tmp_path, flag) == 2
    expected = f"mine_mlflow_pkg: it was made with an overlay: expected its files in {EXAMPLES}/mine"
    assert expected in capsys.readouterr().err
    assert files(root) == before
    assert run("--model-name", "mine", "--target", tmp_path, flag, "--overlay", overlay) == 0
    assert files(root) == before


def older_package(tmp_path: Path) -> Path:
    """Return a package as this tool made it when the tool's own code lay among the author's files."""
    root = make(tmp_path, "foo")
    shutil.rmtree(root / ".pipeline" / "model_side")
    for top in (root, root / ".pipeline" / "scaffold"):
        for name in ("save.py", "base/errors.py", "base/deep/files.py"):
            path = top / "model_side" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("# the tool's\n")
    (root / "model_side" / "base" / "__pycache__").mkdir()
    (root / "model_side" / "base" / "__pycache__" / "errors.pyc").write_text("")
    return root


def test_tools_code_is_hidden_and_its_old_place_is_gone_when_an_older_package_is_refreshed(tmp_path: Path) -> None:
    root = older_package(tmp_path)
    assert bring(root, "--refresh") == 0
    assert not (root / "model_side").exists()
    tree = {path.replace("transcriptformer", "foo") for path in TREE}
    assert {path for path in files(root) if not path.startswith(".pipeline/")} == tree
    assert files(root / ".pipeline" / "model_side") == files(REPOSITORY / "scripts" / "model_side")


@pytest.mark.parametrize("flag", ["--refresh", "--update"])
def test_edited_part_of_the_tools_old_code_is_kept_and_said_once(flag: str, tmp_path: Path, capsys: Capture) -> None:
    root = older_package(tmp_path)
    (root / "model_side" / "base" / "errors.py").write_text("# mine\n")
    for said in (1, 0):
        assert bring(root, flag) == 0
        assert capsys.readouterr().err.count("model_side/base/errors.py: kept, since you edited it") == said
        assert files(root / "model_side") == {"base/errors.py": b"# mine\n"}


def test_older_packager_that_its_author_edited_keeps_the_code_beside_it(tmp_path: Path) -> None:
    root = older_package(tmp_path)
    for path, words in ((root, "mine"), (root / ".pipeline" / "scaffold", "the older tool's")):
        (path / "mlflow_packager.py").write_text(f"# {words}\n")
    before = files(root / "model_side")
    assert bring(root, "--refresh") == 0
    assert (root / "mlflow_packager.py").read_text() == "# mine\n"
    assert files(root / "model_side") == before


def test_tools_hidden_code_is_always_what_the_tool_has(tmp_path: Path) -> None:
    root = make(tmp_path, "foo")
    before = files(root)
    (root / ".pipeline" / "model_side" / "command_line.py").write_text("# not the tool's\n")
    (root / ".pipeline" / "model_side" / "more.py").write_text("")
    assert bring(root, "--refresh") == 0
    assert files(root) == before


@pytest.fixture
def template(tmp_path: Path, monkeypatch: Patch) -> Template:
    """Return a function that changes a file of the template: it works on a copy of it."""
    copy = tmp_path / "model_template"
    shutil.copytree(rendering.TEMPLATES, copy)
    monkeypatch.setattr(rendering, "TEMPLATES", copy)
    return lambda path, text: (copy / "mlflow_template" / path).write_text(text) and None


LINES = [f"# line {number}" for number in range(9)]


def text(**changed: str) -> str:
    return "\n".join(changed.get(f"at{number}", line) for number, line in enumerate(LINES)) + "\n"


@pytest.fixture
def package(tmp_path: Path, template: Template) -> Path:
    template("requirements.in", text())
    (tmp_path / "models").mkdir()
    return make(tmp_path / "models", "foo")


def bring(package: Path, flag: str) -> int:
    return run("--model-name", "foo", "--target", package.parent, flag)


def test_unedited_file_follows_when_the_template_moves_on(package: Path, template: Template) -> None:
    template("requirements.in", text(at0="# new"))
    (package / "model_spec.py").write_text("MINE = 1\n")
    assert bring(package, "--refresh") == 0
    assert (package / "requirements.in").read_text() == text(at0="# new")
    assert (package / "model_spec.py").read_text() == "MINE = 1\n"


def test_edited_file_is_kept_until_update_merges_both(package: Path, template: Template, capsys: Capture) -> None:
    mine = text(at8="numpy")
    (package / "requirements.in").write_text(mine)
    for number in range(2):
        template("requirements.in", text(at0=f"# new {number}"))
        assert bring(package, "--refresh") == 0
        assert "kept" in capsys.readouterr().err
        assert (package / "requirements.in").read_text() == mine
    assert bring(package, "--diff") == 0
    assert "+# new 1" in capsys.readouterr().out
    assert (package / "requirements.in").read_text() == mine
    assert bring(package, "--update") == 0
    assert (package / "requirements.in").read_text() == text(at0="# new 1", at8="numpy")
    assert bring(package, "--refresh") == 0
    assert (package / "requirements.in").read_text() == text(at0="# new 1", at8="numpy")


def test_update_keeps_yours_aside_when_both_changed_a_line(package: Path, template: Template, capsys: Capture) -> None:
    (package / "requirements.in.orig").write_text("mine, too")
    (package / "requirements.in").write_text(text(at4="mine"))
    template("requirements.in", text(at4="theirs"))
    assert bring(package, "--update") == 1
    assert "changed the same lines" in capsys.readouterr().err
    for _ in range(2):
        assert (package / "requirements.in.orig").read_text() == "mine, too"
        assert (package / "requirements.in.2.orig").read_text() == text(at4="mine")
        assert "<<<<<<< yours" in (package / "requirements.in").read_text()
        assert bring(package, "--update") == 1  # until one is chosen
    (package / "requirements.in").write_text(text(at4="mine"))
    assert bring(package, "--update") == 0


def test_removed_file_stays_away_when_it_was_the_authors_and_comes_back_when_the_tools(package: Path) -> None:
    tools = ("mlflow_packager.py", "model_code/__init__.py")
    for name in ("model_data.toml", *tools):
        (package / name).unlink()
    for flag in ("--refresh", "--update"):
        assert bring(package, flag) == 0
        assert not (package / "model_data.toml").exists()
        assert all((package / name).exists() for name in tools)


def test_archetype_stays_what_it_was_when_another_is_asked_for(package: Path, capsys: Capture) -> None:
    before = files(package)
    words = ["--model-name", "foo", "--target", package.parent, "--refresh"]
    assert run(*words, "--model-archetype", "text_to_tensor") == 2
    assert "expected file_uri_to_tensor, got text_to_tensor" in capsys.readouterr().err
    assert files(package) == before
    assert run(*words, "--model-archetype", "file_uri_to_tensor") == 0


def test_new_package_comes_with_the_three_things_to_do_next(tmp_path: Path, capsys: Capture) -> None:
    root = make(tmp_path, "tiny")
    said = capsys.readouterr().out.splitlines()
    assert [line[:3] for line in said] == ["Nex", "1. ", "2. ", "3. "]
    assert said[1].startswith(f"1. {root}/model_code/tiny_mlflow_model.py: write the methods")
    assert said[2].startswith(f"2. {root}/model_spec.py: ")
    assert said[3] == f"3. invoke verify --model tiny --models-dir {tmp_path}"
    assert run("--model-name", "tiny", "--target", tmp_path, "--refresh") == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("weights", "source", "name"),
    [
        ("{here}/my weights.npy", None, "my weights.npy"),
        ("https://example.org/a/w.bin?x=1", {"uri": "https://example.org/a/w.bin?x=1", "path": "w.bin"}, "w.bin"),
        ("hf://o/r/w.bin@main", {"uri": "hf://o/r/w.bin@main", "path": "w.bin"}, "w.bin"),
        ("lib==1.2:lib/w.bin", {"package": "lib==1.2", "member": "lib/w.bin", "path": "w.bin"}, "w.bin"),
    ],
)
def test_new_package_has_the_weights_and_requirements_that_it_was_made_with(
    tmp_path: Path, weights: str, source: dict[str, str] | None, name: str
) -> None:
    (tmp_path / "my weights.npy").write_text("7")
    flags = ["--weights", weights.format(here=tmp_path), "--requires", "numpy", "--requires", "torch==2.6.0"]
    root = make(tmp_path, "tiny", *flags)
    assert (root / "requirements.in").read_text().splitlines()[-3:] == ["mlflow", "numpy", "torch==2.6.0"]
    declared = tomllib.loads((root / "model_data.toml").read_text()).get("source", [])
    assert declared == ([source] if source else [])
    assert f'ARTIFACTS = {{"checkpoint": "model_data/{name}"}}\n' in (root / "model_spec.py").read_text()
    assert source or (root / "model_data" / name).read_text() == "7"
    written = files(root)
    assert run("--model-name", "tiny", "--target", tmp_path, "--refresh") == 0
    assert files(root) == written


def test_package_is_not_made_when_its_weights_are_nowhere(tmp_path: Path, capsys: Capture) -> None:
    assert run("--model-name", "tiny", "--target", tmp_path, "--weights", "gone.bin") == 2
    assert "--weights: no such file: expected a file, a URI such as" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
