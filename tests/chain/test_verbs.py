"""The verbs through the real `invoke`, on packages of the real chain that were built cheaply."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chain import looking, verbs
from chain.packages import Package
from chain.request import Request
from chain.steps import pipeline_for
from engine.errors import UsageError
from engine.ledger import load_ledger
from tests.engine.workshop import REPOSITORY, without_privileges

from .cheap_package import (
    AUTHORED,
    SETTINGS,
    build_cheaply,
    make_packages,
    snapshot,
    write_environment,
    write_package,
)

STEPS = ["scaffold", "compile-reqs", "sync-env", "download-data"]
STEPS += ["package", "payload", "predict", "serve-predict", "verify"]
MODEL_STEPS = ["package", "payload", "predict"]


def start(models: Path, *words: str, before: str = "", models_dir: list[str] | None = None) -> subprocess.Popen[str]:
    """Start `invoke` on a models directory; `models_dir` are other flags in place of the one that names it."""
    code = f"import sys; {before}\nfrom invoke.main import program\nprogram.run()"
    call = [sys.executable, "-c", code, *words, *(["--models-dir", str(models)] if models_dir is None else models_dir)]
    return subprocess.Popen(call, cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def invoke(
    models: Path, *words: str, before: str = "", models_dir: list[str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `invoke` on a models directory to its end."""
    process = start(models, *words, before=before, models_dir=models_dir)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def request(models: Path, **flags: object) -> Request:
    return Request.of(SETTINGS, {"models_dir": str(models), **flags})


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Return a models directory with one package, built."""
    make_packages(tmp_path / "models", "cheap")
    return tmp_path / "models"


@pytest.fixture
def root(models: Path) -> Path:
    """Return that package's directory."""
    return models / "cheap_mlflow_pkg"


def edit(root: Path, text: str = "INPUT_EXAMPLE = 2\n") -> None:
    (root / "model_spec.py").write_text(text)


def steps_of(document: str) -> dict[str, dict[str, Any]]:
    """Return the steps of the one model in a JSON document, by name."""
    (model,) = json.loads(document)["models"]
    return {step["step"]: step for step in model["steps"]}


def actions(document: str) -> dict[str, str]:
    return {name: step["action"] for name, step in steps_of(document).items()}


def test_status_exits_0_and_writes_nothing_when_all_is_up_to_date(models: Path) -> None:
    before = snapshot(models)
    done = invoke(models, "status", "--model", "cheap")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [[step, "up", "to", "date"] for step in STEPS]
    assert snapshot(models) == before


def test_status_exits_1_and_names_the_file_with_both_values_when_it_changed(models: Path, root: Path) -> None:
    edit(root)
    before = snapshot(models)
    done = invoke(models, "status", "--model", "cheap")
    assert done.returncode == 1
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if not line.startswith(" " * 10)}
    assert rows["package"].split()[1:4] == ["stale", "model_spec.py", "changed:"]
    assert "sha256:" in rows["package"].split("→")[0]
    assert "sha256:" in rows["package"].split("→")[1]
    assert rows["payload"].split()[1:] == ["pending", "package", "runs", "before", "it"]
    assert snapshot(models) == before


def test_status_prints_nothing_when_quiet_and_one_document_when_json(models: Path, root: Path) -> None:
    edit(root)
    quiet = invoke(models, "status", "--model", "cheap", "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (1, "", "")
    told = invoke(models, "status", "--model", "cheap", "--json")
    assert told.returncode == 1
    package = steps_of(told.stdout)["package"]
    assert package["state"] == "stale"
    assert package["reasons"] == ["model_spec.py changed"]
    assert package["details"][0]["code"] == "dependency-changed"
    assert package["details"][0]["old"] != package["details"][0]["new"]


@pytest.fixture
def stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], list[str]]:
    """Return a function that says why a step of the cheap package is stale now."""

    def reasons(step: str) -> list[str]:
        looking.status(request(tmp_path / "models", json=True))
        found = steps_of(capsys.readouterr().out)[step]
        return [] if found["state"] == "up-to-date" else found["reasons"]

    return reasons


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("-r base.in", "base.in"),
        ("--requirement=base.in  # ours", "base.in"),
        ("-c ../../shared/base.in", "../../shared/base.in"),
        ("--constraint 'a place/base.in'", "a place/base.in"),
    ],
)
def test_requirements_are_stale_when_a_file_that_they_name_changed(
    line: str, place: str, tmp_path: Path, stale: Callable[[str], list[str]]
) -> None:
    python, package = write_environment(tmp_path / "models", 1), write_package(tmp_path / "models")
    (package.root / place).parent.mkdir(exist_ok=True, parents=True)
    (package.root / "requirements.in").write_text(f"mlflow\n{line}\n")
    (package.root / place).write_text("-r deeper.in\n")
    deeper = (package.root / place).with_name("deeper.in")
    deeper.write_text("six\n")
    assert build_cheaply(package, python).ok
    assert stale("compile-reqs") == []
    deeper.write_text("six<2\n")
    named = os.path.relpath(deeper, package.root)
    assert stale("compile-reqs") == [f"{named} changed"]
    (package.root / place).write_text("six\n")
    assert f"{os.path.normpath(place)} changed" in stale("compile-reqs")
    assert stale("sync-env") == ["compile-reqs runs before it"]


def test_requirements_may_name_their_own_pins(tmp_path: Path, stale: Callable[[str], list[str]]) -> None:
    python, package = write_environment(tmp_path / "models", 1), write_package(tmp_path / "models")
    (package.root / "requirements.in").write_text("mlflow\n-c requirements.txt\n")
    assert build_cheaply(package, python).ok
    assert stale("compile-reqs") == []


def test_environment_is_stale_when_a_file_that_the_constraints_name_changed(
    tmp_path: Path, stale: Callable[[str], list[str]]
) -> None:
    python, package = write_environment(tmp_path / "models", 1), write_package(tmp_path / "models")
    (package.root / "constraints.txt").write_text("-c more.txt\n")
    (package.root / "more.txt").write_text("six<2\n")
    assert build_cheaply(package, python).ok
    (package.root / "more.txt").write_text("six<3\n")
    assert stale("compile-reqs") == ["more.txt changed"]
    assert stale("sync-env")[0] == "more.txt changed"


def test_requirements_are_stale_when_a_table_of_uvs_changed_and_not_when_the_rest_of_its_file_did(
    tmp_path: Path, stale: Callable[[str], list[str]]
) -> None:
    python, package = write_environment(tmp_path / "models", 1), write_package(tmp_path / "models")
    pyproject = tmp_path / "models" / "pyproject.toml"
    pyproject.write_text("[tool.uv]\nno-build = true\n")
    assert build_cheaply(package, python).ok
    pyproject.write_text("# edited\n[tool.other]\na = 1\n[tool.uv]\nno-build = true\n")
    assert stale("compile-reqs") == stale("sync-env") == []
    pyproject.write_text("[tool.uv]\nno-build = false\n")
    for step in ("compile-reqs", "sync-env", "serve-predict"):
        assert "[tool.uv] of pyproject.toml" in stale(step)[0]
    (tmp_path / "models" / "uv.toml").touch()
    assert "uv.toml above the package" in " ".join(stale("compile-reqs"))


def test_what_runs_the_model_is_stale_when_a_variable_that_it_declares_or_its_spec_reads_has_another_value(
    tmp_path: Path, stale: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    python, package = write_environment(tmp_path / "models", 1), write_package(tmp_path / "models")
    spec = package.root / "model_spec.py"
    reads = "import os\nSCALES = os.environ.get('REF_UNIT'), os.getenv(\"REF_LEVEL\", '')\n"
    spec.write_text(f"{spec.read_text()}VERIFICATION = {{'portable': True, 'environment': ['REF_SCALE']}}\n{reads}")
    monkeypatch.setenv("REF_SCALE", "3")
    assert build_cheaply(package, python).ok
    monkeypatch.setenv("REF_BIAS", "1")
    steps = ("package", "predict", "serve-predict", "verify")
    assert [stale(step) for step in steps] == [[]] * 4
    for name in ("REF_UNIT", "REF_LEVEL"):
        monkeypatch.setenv(name, "1")
        assert f"${name}" in stale("package")[0]
        monkeypatch.delenv(name)
    monkeypatch.setenv("REF_SCALE", "4")
    assert all("$REF_SCALE" in stale(step)[0] for step in steps)
    assert not any("4" in reason for step in steps for reason in stale(step))  # it may be secret
    monkeypatch.delenv("REF_SCALE")
    assert "$REF_SCALE" in stale("package")[0]
    assert stale("sync-env") == []


@pytest.mark.parametrize("value", ["{'environment': NAMES}", "3", "dict(environment=['A'])"])
def test_status_is_told_when_declared_variables_show_only_when_the_spec_runs(
    value: str, tmp_path: Path, stale: Callable[[str], list[str]]
) -> None:
    python, package = write_environment(tmp_path / "models", 1), write_package(tmp_path / "models")
    assert build_cheaply(package, python).ok
    spec = package.root / "model_spec.py"
    spec.write_text(f"{spec.read_text()}VERIFICATION = {value}\n")
    assert stale("predict")[0] == "package runs before it"


def test_status_exits_2_when_an_input_is_missing(models: Path, root: Path) -> None:
    (root / "model_spec.py").unlink()
    done = invoke(models, "status", "--model", "cheap")
    assert done.returncode == 2
    assert "cheap_mlflow_pkg/model_spec.py: it is missing" in done.stdout


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("model_spec.py", "INPUT_EXAMPLE = None\n", "model_spec.py:1: INPUT_EXAMPLE is not given"),
        ("model_spec.py", "INPUT_EXAMPLE = 1\nA = (\n", "model_spec.py:2: not valid Python"),
        (
            "model_code/cheap_mlflow_model.py",
            "class CheapMLflowModel:\n    def _forward(self):\n        raise NotImplementedError\n",
            "model_code/cheap_mlflow_model.py:2: _forward is still to be written",
        ),
    ],
)
def test_build_fails_before_any_work_when_the_author_has_not_finished(
    name: str, text: str, said: str, models: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "requirements.in").write_text("mlflow\npandas\n")
    (root / name).write_text(text)
    before = (root / "requirements.txt").read_text()
    assert verbs.build(request(models), "verify") == 2
    assert said in capsys.readouterr().err
    assert (root / "requirements.txt").read_text() == before


def test_build_fails_before_any_work_when_a_later_step_lacks_its_input(models: Path, root: Path) -> None:
    (root / "requirements.in").write_text("mlflow\npandas\n")
    (root / "model_spec.py").unlink()
    before = (root / "requirements.txt").read_text()
    assert verbs.build(request(models), "verify") == 2
    assert (root / "requirements.txt").read_text() == before


@pytest.mark.parametrize("goal", STEPS)
def test_dry_run_writes_nothing_and_says_what_the_build_acts_on_when(
    goal: str, models: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "requirements.in").write_text("mlflow\npandas\n")
    edit(root)
    before = snapshot(models)
    assert verbs.build(request(models, dry_run=True, json=True), goal) == 0
    told = actions(capsys.readouterr().out)
    assert snapshot(models) == before
    looking.status(request(models, json=True))
    foreseen = actions(capsys.readouterr().out)
    assert told == {step: foreseen[step] for step in told}
    assert told[goal] == foreseen[goal]


def test_build_prints_the_json_document_and_nothing_else_on_stdout(models: Path, root: Path) -> None:
    edit(root)
    done = invoke(models, "predict", "--model", "cheap", "--json")
    assert (done.returncode, json.loads(done.stdout)["models"][0]["model"]) == (0, "cheap")
    ran = {step: action for step, action in actions(done.stdout).items() if action != "up-to-date"}
    assert ran == {"package": "ran", "payload": "ran", "predict": "ran"}


def test_build_prints_a_line_per_step_and_a_closing_one(models: Path, root: Path) -> None:
    edit(root)
    done = invoke(models, "package", "--model", "cheap")
    lines = done.stdout.splitlines()
    assert "package        ran         model_spec.py changed  0." in done.stdout
    assert lines[0].split() == ["scaffold", "up", "to", "date"]
    assert len(lines) == 6
    assert lines[-1].startswith("cheap: ok: 1 ran, 4 up to date, ")


def test_build_counts_predictions_and_loads_of_what_it_ran(models: Path) -> None:
    done = invoke(models, "predict", "--model", "cheap", "--force")
    assert done.stdout.endswith(" s, 3 predictions, 2 loads of the model\n")
    document = json.loads(invoke(models, "predict", "--model", "cheap", "--json").stdout)["models"][0]
    assert (document["predictions"], document["loads"]) == (0, 0)  # nothing ran
    assert document["steps"][-1]["found"] == {"predictions": 3, "loads": 2}


def test_time_limit_reaches_the_command_and_makes_nothing_stale(models: Path) -> None:
    done = invoke(models, "predict", "--model", "cheap", "--force", "--time-limit", "7")
    assert " --output-path predict_output.json --time-limit 7\n" in done.stdout
    assert "ran" not in {*actions(invoke(models, "predict", "--model", "cheap", "--json").stdout).values()}
    done = invoke(models, "predict", "--model", "cheap", "--time-limit=-1")
    assert (done.returncode, "--time-limit: out of range" in done.stderr) == (2, True)


@pytest.mark.parametrize(("own", "policy"), [({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")])
def test_threads_that_wait_leave_the_processors_to_what_runs_beside_unless_the_author_has_decided(
    models: Path, monkeypatch: pytest.MonkeyPatch, own: dict[str, str], policy: str
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    assert f"threads that wait: {policy}\n" in invoke(models, "predict", "--model", "cheap", "--force").stdout


def test_force_runs_the_tasks_own_step_and_nothing_else_(models: Path) -> None:
    done = invoke(models, "predict", "--model", "cheap", "--json", "--force")
    assert [step for step, action in actions(done.stdout).items() if action == "ran"] == ["predict"]


def test_force_makes_an_edited_payload_anew_when_it_names_its_step(models: Path, root: Path) -> None:
    (root / "test_input_payload.json").write_text("mine\n")
    done = invoke(models, "predict", "--json", "--model", "cheap")
    assert (done.returncode, done.stderr) == (0, "")
    assert actions(done.stdout)["predict"] == "ran"
    assert (root / "test_input_payload.json").read_text() == "mine\n"
    done = invoke(models, "predict", "--json", "--force-step", "payload", "--model", "cheap")
    acted = {step: action for step, action in actions(done.stdout).items() if action != "up-to-date"}
    assert acted == {"payload": "ran", "predict": "restored"}
    assert (root / "test_input_payload.json").read_text() == "payload\n"
    assert "test_input_payload.json was edited: the edit is kept as test_input_payload.json.edited" in done.stderr
    assert (root / "test_input_payload.json.edited").read_text() == "mine\n"
    (root / "test_input_payload.json").write_text("mine, too\n")
    assert invoke(models, "payload", "--force", "--model", "cheap").returncode == 0
    assert (root / "test_input_payload.json.edited").read_text() == "mine\n"
    assert (root / "test_input_payload.json.2.edited").read_text() == "mine, too\n"


NO_NAMES, NAME = ("my model", " foo", "", "a/b"), "expected letters, digits and underscores, got "


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predict", "--force-step", "paylod"], "Did you mean 'payload'?"),
        (["status", "--model", "cheep"], "Did you mean 'cheap'?"),
        (["verify", "--jobs", "-1"], "--jobs: out of range: expected at least 1, got -1."),
        (["explain"], "expected the name of a step"),
        *((["scaffold", "--model", name], f"--model: not the name of a model: {NAME}{name!r}.") for name in NO_NAMES),
        (["explain", "--step", "pack"], "Did you mean 'package'?"),
    ],
)
def test_verb_exits_2_and_says_what_to_do_when_asked_for_what_is_not_there(
    models: Path, words: list[str], said: str
) -> None:
    make_packages(models.with_name("more"), "other")
    (models.with_name("more") / "other_mlflow_pkg").rename(models / "other_mlflow_pkg")
    named = words if "--model" in words else [*words, "--model", "cheap"]
    done = invoke(models, *named)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert said in done.stderr


def test_reader_may_close_the_output_early(models: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "invoke", "explain", "--model", "cheap", "--step", "package"]
    command += ["--models-dir", str(models)]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_explain_shows_each_dependency_as_recorded_and_as_it_is(models: Path, root: Path) -> None:
    edit(root)
    done = invoke(models, "explain", "--model", "cheap", "--step", "package")
    assert done.returncode == 0
    line = done.stdout.splitlines()[2]  # what changed is first
    assert line.startswith("≠ dependencies  model_spec.py  ")
    assert "  dependencies  .venv: as recorded: 10 entries\n" in done.stdout
    assert done.stdout.count(".venv: ") == 1
    assert line.count("sha256:") == 2
    assert any(line.startswith("  dependencies  model_code/__init__.py  sha256:") for line in done.stdout.splitlines())
    document = steps_of(invoke(models, "explain", "--model", "cheap", "--step", "package", "--json").stdout)
    kinds = {fact["kind"] for fact in document["package"]["found"]["facts"]}
    assert kinds == {"dependencies", "targets", "tools", "params"}


def test_graph_prints_mermaid_with_files_and_states(models: Path, root: Path) -> None:
    edit(root)
    done = invoke(models, "graph", "--model", "cheap")
    assert done.returncode == 0
    assert done.stdout.startswith("flowchart TD\n")
    assert '  package["package<br/>stale"]:::stale' in done.stdout
    assert '  package -->|"mlflow_model_artifacts"| predict' in done.stdout


def test_graph_makes_no_package_when_there_is_none(tmp_path: Path) -> None:
    done = invoke(tmp_path, "graph", "--model", "pbmc_pca")
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


def authored(root: Path) -> dict[str, str]:
    return {name: (root / name).read_text() for name in AUTHORED}


@pytest.mark.parametrize(
    ("flags", "gone"),
    [
        ([], {"mlflow_model_artifacts", "test_input_payload.json", "predict_output.json", "verification.json"}),
        (["--env"], {".venv", "mlflow_model_artifacts"}),
        (["--all"], {".venv", "mlflow_model_artifacts", "requirements.txt", "model_data/weights.bin"}),
    ],
)
def test_clean_removes_what_steps_made_and_nothing_of_the_authors(
    models: Path, root: Path, flags: list[str], gone: set[str]
) -> None:
    (root / "model_data" / "notes.txt").write_text("mine\n")
    before, own = snapshot(models), authored(root)
    listed = invoke(models, "clean", "--model", "cheap", "--dry-run", *flags)
    assert listed.returncode == 0
    assert snapshot(models) == before
    done = invoke(models, "clean", "--model", "cheap", *flags)
    assert done.stdout == listed.stdout.replace("would remove", "removed")
    assert {line.split()[-1] for line in done.stdout.splitlines()} >= gone
    assert not [name for name in gone if (root / name).exists()]
    assert (root / ".venv").exists() == (".venv" not in gone)
    assert authored(root) == own
    assert (root / "model_data" / "notes.txt").read_text() == "mine\n"
    assert (root / "mlflow_packager.py").exists()
    assert (root / ".pipeline" / "model_side" / "save.py").exists()
    assert (root / ".pipeline" / "ledger.json").exists() == ("--all" not in flags)


def test_clean_keeps_a_target_and_says_why_when_it_may_be_the_authors(models: Path, root: Path) -> None:
    (root / "test_input_payload.json").write_text("mine\n")
    done = invoke(models, "clean", "--model", "cheap", "--all")
    assert "cheap: kept test_input_payload.json: it is not as its step made it, so it may be yours" in done.stdout
    assert (root / "test_input_payload.json").read_text() == "mine\n"


EVIDENCE = ("rest_output.failed/got.json", "verification.failed/direct.npz", "verification.failed.json")


def disagree(models: Path, root: Path) -> None:
    """Let verify fail as it does where ways of running the model disagree, and leave what differs."""
    (root / "disagree").touch()
    edit(root)
    assert not build_cheaply(Package("cheap", models), models / "environment" / "bin" / "python").ok
    (root / "disagree").unlink()


@pytest.mark.parametrize("flags", [[], ["--all"]])
def test_clean_removes_what_a_failed_step_left(models: Path, root: Path, flags: list[str]) -> None:
    disagree(models, root)
    assert all((root / name).is_file() for name in EVIDENCE[1:])
    listed = invoke(models, "clean", "--model", "cheap", "--dry-run", *flags).stdout.splitlines()
    done = invoke(models, "clean", "--model", "cheap", *flags).stdout.splitlines()
    assert [line.replace("would remove", "removed") for line in listed] == done
    assert {"cheap: removed verification.failed", "cheap: removed verification.failed.json"} <= set(done)
    assert not list(root.glob("*.failed*"))


@pytest.mark.parametrize("name", EVIDENCE)
def test_clean_keeps_what_looks_like_evidence_and_is_the_authors(models: Path, root: Path, name: str) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("mine\n")
    done = invoke(models, "clean", "--model", "cheap", "--all")
    assert f"cheap: kept {name.split('/')[0]}: no record says that a step made it" in done.stdout
    assert (root / name).read_text() == "mine\n"


def test_clean_keeps_evidence_that_the_author_has_added_to(models: Path, root: Path) -> None:
    disagree(models, root)
    (root / "verification.failed" / "notes.txt").write_text("mine\n")
    done = invoke(models, "clean", "--model", "cheap")
    assert "cheap: kept verification.failed: it is not as its step made it, so it may be yours" in done.stdout
    assert not (root / "verification.failed.json").exists()
    disagree(models, root)  # it leaves the same again, beside what is not its own
    invoke(models, "clean", "--model", "cheap", "--all")
    assert (root / "verification.failed" / "notes.txt").read_text() == "mine\n"


def test_all_models_are_built_and_one_failure_stops_no_other(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for package in make_packages(models, "good", "broken", "garbled"):
        edit(package.root)
    (models / "broken_mlflow_pkg" / "broken").touch()
    (models / "garbled_mlflow_pkg" / "model_data.toml").write_text("[[")
    done = invoke(models, "predict", "--all", "--jobs", "2", "--json")
    document = json.loads(done.stdout)
    told = {each["model"]: {step["step"]: step["action"] for step in each["steps"]} for each in document["models"]}
    assert (done.returncode, document["ok"]) == (2, False)
    assert [told["good"][step] for step in MODEL_STEPS] == ["ran"] * 3
    assert [told["broken"][step] for step in MODEL_STEPS] == ["failed", "skipped", "skipped"]
    assert told["garbled"] == {"predict": "failed"}
    assert "the stand-in is broken" in done.stderr
    assert "garbled_mlflow_pkg/model_data.toml: not valid TOML" in done.stderr


def test_every_bundled_model_is_meant_by_all_examples(tmp_path: Path) -> None:
    document = json.loads(invoke(tmp_path / "none", "verify", "--all-examples", "--dry-run", "--json").stdout)
    assert document["ok"]
    assert [each["model"] for each in document["models"]] == sorted(
        path.name for path in (REPOSITORY / "examples").iterdir()
    )
    assert not (tmp_path / "none").exists()


def test_several_models_are_named_in_each_line(tmp_path: Path) -> None:
    make_packages(tmp_path / "models", "one", "two", "three")
    done = invoke(tmp_path / "models", "verify", "--model", "one", "--model", "two")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(line.split()[0] for line in done.stdout.splitlines()[:18]) == ["one"] * 9 + ["two"] * 9
    assert [line.partition(" date, ")[0] for line in done.stdout.splitlines()[18:]] == [
        "one: ok: 9 up to",
        "two: ok: 9 up to",
        f"one: {tmp_path}/models/one_mlflow_pkg/mlflow_model_artifacts",
        f"two: {tmp_path}/models/two_mlflow_pkg/mlflow_model_artifacts",
    ]


def test_verify_ends_with_where_the_model_is_and_how_to_call_it(models: Path, root: Path) -> None:
    done = invoke(models, "verify", "--model", "cheap")
    assert done.stdout.splitlines()[-4:] == [
        f"  the model   {root}/mlflow_model_artifacts",
        f'  in Python   mlflow.pyfunc.load_model("{root}/mlflow_model_artifacts").predict(...)',
        f"              with {root}/.venv/bin/python",
        f"  over REST   invoke serve --model cheap --models-dir {models}",
    ]


def test_failure_ends_with_what_failed_and_the_command_that_tries_again(models: Path, root: Path) -> None:
    edit(root)
    (root / "broken").touch()
    done = invoke(models, "verify", "--model", "cheap", "--jobs", "1")
    assert done.returncode == 1
    log = root / ".pipeline" / "logs" / "package.log"
    assert done.stderr.splitlines() == [
        "",
        "cheap: package failed",
        "the stand-in is broken",
        f"error: package: failed with exit code 1. Its output is in {log}.",
        f"Try again: invoke verify --model cheap --jobs 1 --models-dir {models}",
    ]
    assert done.stdout.splitlines()[-1].startswith("cheap: failed: 4 up to date, 1 failed, 4 skipped, ")
    assert "three" not in done.stdout


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_build_exits_130_and_leaves_nothing_half_done_when_interrupted(
    models: Path, root: Path, flags: list[str]
) -> None:
    os.mkfifo(root / "reached")
    running = start(models, "payload", "--model", "cheap", "--force", *flags)
    pid = int((root / "reached").read_text())
    running.send_signal(signal.SIGINT)
    printed, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert not flags or json.loads(printed) == {"ok": False, "models": [], "error": "interrupted"}
    assert "interrupted" in said
    assert "Traceback" not in said
    assert not Path(f"/proc/{pid}").exists()
    (root / "reached").unlink()
    assert (root / "test_input_payload.json").read_text() == "payload\n"
    assert invoke(models, "status", "--model", "cheap").returncode == 0


PROOFS = {
    "light": ('{"seconds": 4.9, "peak_memory": 999000000}', False),
    "large": ('{"seconds": 0.5, "peak_memory": 1000000001}', True),
    "long": ('{"seconds": 5.1, "peak_memory": 1000}', True),
    "of an older record": ("{}", False),
}


@pytest.mark.parametrize("setting", ["auto", "true", "false", False])
@pytest.mark.parametrize(("proof", "heavy"), PROOFS.values(), ids=PROOFS)
def test_model_is_loaded_once_at_a_time_when_its_proof_was_heavy_or_the_settings_say_so(
    tmp_path: Path, proof: str, heavy: bool, setting: object
) -> None:
    python = write_environment(tmp_path, 1)
    write_package(tmp_path)
    asked = Request.of({**SETTINGS, "serial": setting}, {"models_dir": str(tmp_path), "model": ["cheap"]})
    (package,) = asked.packages()
    (package.root / "proof").write_text(proof)
    assert build_cheaply(package, python).ok
    serial = heavy if setting == "auto" else setting == "true"
    assert (package.root / "serve_report.json").read_text().strip() == ("serial" if serial else "")
    assert [step.name for step in pipeline_for(package).steps if step.apart] == ["predict", "serve-predict"]
    assert all(step.apart() is serial for step in pipeline_for(package).steps if step.apart)
    (package.root / "proof").unlink()
    assert invoke(tmp_path, "status", "--model", "cheap").returncode == 0  # no change of a command


@pytest.mark.parametrize("slow", [True, False])
def test_model_is_asked_little_when_a_prediction_was_slow_where_it_was_packaged(tmp_path: Path, *, slow: bool) -> None:
    python = write_environment(tmp_path, 1)
    package = write_package(tmp_path)
    (package.root / "proof").write_text(json.dumps({"slow": slow}))
    assert build_cheaply(package, python).ok
    commands = {step.name: step.runs.argv() for step in pipeline_for(package).steps}
    assert ("--as-packaged" in commands["predict"], "--slow" in commands["serve-predict"]) == (slow, slow)


def test_setting_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="serial: not a setting: expected auto, true or false, got 'sometimes'"):
        Request.of({**SETTINGS, "serial": "sometimes"}, {})


@pytest.mark.parametrize("words", [["verify"], ["status"], ["verify", "--dry-run"], ["status", "--json"]])
def test_nothing_to_do_imports_nothing_that_is_slow(models: Path, words: list[str]) -> None:
    heavy = "{'mlflow', 'pandas', 'numpy', 'filelock', 'rich', 'jinja2', 'fsspec', 'tomlkit', 'tenacity', 'hashlib'}"
    before = f"import atexit; atexit.register(lambda: print(sorted({heavy} & sys.modules.keys()), file=sys.stderr))"
    done = invoke(models, *words, "--model", "cheap", before=before)
    assert (done.returncode, done.stderr) == (0, "[]\n")


def test_build_says_so_and_keeps_target_and_record_when_the_package_is_read_only(models: Path, root: Path) -> None:
    edit(root)
    before = snapshot(models)
    paths = [root, *(path for path in root.rglob("*") if path.is_dir())]
    for path in paths:
        path.chmod(0o555)
    changed = snapshot(models)
    done = invoke(models, "predict", "--model", "cheap", before=without_privileges())
    for path in paths:
        path.chmod(0o755)
    assert done.returncode == 1
    assert "cannot be written: got Permission denied" in done.stderr
    assert "Traceback" not in done.stderr
    assert snapshot(models).keys() == before.keys() == changed.keys()
    assert invoke(models, "predict", "--model", "cheap").returncode == 0


def test_build_says_so_and_keeps_the_record_when_the_disk_is_full(models: Path, root: Path) -> None:
    edit(root)
    ledger = root / ".pipeline" / "ledger.json"
    before = ledger.read_text()
    model = root / "mlflow_model_artifacts" / "MLmodel"
    good = model.read_text()
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))"
    done = invoke(models, "predict", "--model", "cheap", before=full)
    assert done.returncode == 1
    assert "cannot be written: got File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert ledger.read_text() == before
    assert model.read_text() == good
    done = invoke(models, "predict", "--model", "cheap", "--json")
    assert [step for step, action in actions(done.stdout).items() if action == "ran"] == MODEL_STEPS


def test_package_that_is_not_there_yet_is_foreseen_and_not_made_when_dry(tmp_path: Path) -> None:
    done = invoke(tmp_path, "verify", "--model", "pbmc_pca", "--dry-run", "--json")
    assert done.returncode == 0
    assert set(actions(done.stdout).values()) == {"would-run"}
    assert list(tmp_path.iterdir()) == []


def test_unreadable_input_is_refused_by_name(models: Path, root: Path) -> None:
    (root / "model_spec.py").chmod(0)
    edit_time = (root / "model_spec.py").stat().st_ctime_ns
    done = invoke(models, "package", "--model", "cheap", before=without_privileges())
    assert done.returncode == 2
    assert "model_spec.py: it cannot be read: got Permission denied" in done.stderr
    assert (root / "model_spec.py").stat().st_ctime_ns == edit_time


def test_package_without_anything_built_is_pending_behind_its_first_step(tmp_path: Path) -> None:
    write_package(tmp_path, "cheap")
    told = actions(invoke(tmp_path, "status", "--model", "cheap", "--json").stdout)
    assert set(told.values()) == {"would-run"}


def test_invoke_keeps_the_bytecode_of_the_pipeline(models: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(tmp_path / "bytecode")
    call = [sys.executable, "-m", "invoke", "status", "--quiet", "--model", "cheap", "--models-dir", str(models)]
    assert subprocess.run(call, cwd=REPOSITORY, env=environment, timeout=60, check=False).returncode == 0
    assert list((tmp_path / "bytecode").rglob("walk.*.pyc"))


def test_verify_runs_when_data_changed_that_only_the_code_called_directly_can_read(models: Path, root: Path) -> None:
    (root / "model_data" / "beside.txt").write_text("not an artifact")
    python = models / "environment" / "bin" / "python"
    result = build_cheaply(Package("cheap", models), python)
    assert [outcome.step for outcome in result.outcomes if outcome.action == "ran"] == ["package", "verify"]


def test_nothing_is_stale_or_kept_when_the_model_was_loaded_from_a_registry(models: Path, root: Path) -> None:
    model = root / "mlflow_model_artifacts"
    (model / "registered_model_meta").write_text("model_name: cheap\nmodel_version: '1'\n")
    assert invoke(models, "status", "--model", "cheap").returncode == 0
    assert "removed mlflow_model_artifacts" in invoke(models, "clean", "--model", "cheap").stdout
    assert not model.exists()


@pytest.mark.parametrize("name", ["README.md", "model.sig", ".git/HEAD", ".cache/huggingface/x"])
def test_nothing_is_stale_and_nothing_goes_when_an_author_puts_a_card_beside_the_model(
    models: Path, root: Path, name: str
) -> None:
    path = root / "mlflow_model_artifacts" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("the author's")
    assert invoke(models, "status", "--model", "cheap").returncode == 0
    held = f"kept mlflow_model_artifacts: it holds {'.cache' if '.cache' in name else name.partition('/')[0]}, which no"
    assert held in invoke(models, "clean", "--model", "cheap").stdout
    assert path.read_text() == "the author's"


@pytest.mark.parametrize("name", ["registered_model_meta.py", "code/registered_model_meta", "other"])
def test_package_is_stale_when_anything_else_is_added_to_the_model(models: Path, root: Path, name: str) -> None:
    path = root / "mlflow_model_artifacts" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("model_name: cheap\nmodel_version: '1'\n")
    done = invoke(models, "status", "--model", "cheap", "--json")
    assert steps_of(done.stdout)["package"]["reasons"][0].startswith("mlflow_model_artifacts/")


def test_ledger_tells_how_long_each_step_took(root: Path) -> None:
    assert {name: took > 0 for name, took in load_ledger(root).seconds.items()} == dict.fromkeys(STEPS, True)
