"""What a command says that it read beside its dependencies counts; an input that moved meanwhile is seen."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import Step, build, status

from .workshop import Workshop

READS = """cat spec.py > model
[ ! -e reads ] || { paste -sd, reads | sed 's/.*/{"inputs": [&]}/' > "$STEP_FOUND"; }"""


def step() -> Step:
    return Step("s", READS, ["spec.py"], ["model"])


def reasons(root: Path) -> list[str]:
    return [str(reason) for reason in status([step()], root=root).outcomes[0].reasons]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a built directory whose step said that it read a table, a directory, what is not there, and its own."""
    root = tmp_path / "root"
    (root / "rows" / "deep").mkdir(parents=True)
    for name in ("spec.py", "table.csv", "rows/a.csv", "rows/deep/b.csv", "other.csv", "../shared.py"):
        (root / name).write_text("1\n")
    (root / "reads").write_text('"table.csv"\n"rows"\n"none.csv"\n"../shared.py"\n"spec.py"\n"model"\n"."\n')
    assert build([step()], root=root).ok
    assert build([step()], root=root).up_to_date
    return root


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda root: (root / "table.csv").write_text("2\n"), ["table.csv changed"]),
        (lambda root: (root / "table.csv").unlink(), ["table.csv changed"]),
        (lambda root: (root / "rows" / "deep" / "b.csv").write_text("2\n"), ["rows/deep/b.csv changed"]),
        (lambda root: (root / "rows" / "c.csv").write_text("2\n"), ["rows/c.csv added"]),
        (lambda root: (root / "rows" / "a.csv").unlink(), ["rows/a.csv removed"]),
        (lambda root: (root / "none.csv").write_text("2\n"), ["none.csv changed"]),
        (lambda root: (root / "../shared.py").write_text("2\n"), ["../shared.py changed"]),
        (lambda root: (root / "other.csv").write_text("2\n"), []),
        (lambda root: os.utime(root / "table.csv"), []),
    ],
)
def test_step_is_stale_when_what_it_said_that_it_read_changes(
    place: Path, change: Callable[[Path], object], expected: list[str]
) -> None:
    change(place)
    assert reasons(place) == expected
    assert build([step()], root=place).ok
    assert reasons(place) == []


def test_input_that_is_no_longer_read_counts_no_more(place: Path) -> None:
    (place / "spec.py").write_text("2\n")
    (place / "reads").write_text('"other.csv"\n')
    assert build([step()], root=place).ok
    (place / "table.csv").unlink()
    assert reasons(place) == []
    (place / "other.csv").write_text("2\n")
    assert reasons(place) == ["other.csv changed"]


def test_records_of_a_release_that_knew_no_inputs_are_read(place: Path) -> None:
    ledger = place / ".pipeline" / "ledger.json"
    document = ledger.read_text()
    start = document.index('"inputs":{')
    ledger.write_text(document[:start].rstrip(",") + document[document.index("}", start) + 1 :])
    assert reasons(place) != ["record unreadable: ledger.json is damaged"]


def test_step_is_not_recorded_when_what_it_said_that_it_read_changed_while_it_ran(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("1\n")
    line = 'cat table.csv > model; echo 2 > table.csv; echo \'{"inputs": ["table.csv"]}\' > "$STEP_FOUND"'
    (outcome,) = build([Step("s", line, [], ["model"])], root=tmp_path).outcomes
    assert "table.csv changed while it ran" in str(outcome.error)
    assert not (tmp_path / "model").exists()


EDITS = {
    "it was written and written back": "cp -p spec.py old; echo 'SPEC = 2' > spec.py; {read}; cat old > spec.py",
    "its time was put back, too": (
        "cp -p spec.py old; echo 'SPEC = 2' > spec.py; {read}; cat old > spec.py; touch -r old spec.py"
    ),
    "it was replaced by a copy": "cp -p spec.py old; echo 'SPEC = 2' > spec.py; {read}; mv old spec.py",
    "it was moved away and back": "mv spec.py old; echo 'SPEC = 2' > spec.py; {read}; mv old spec.py",
    "a file of a directory was": "mv code/model.py old; echo 2 > code/model.py; {read}; mv old code/model.py",
    "a file came to a directory and went": "echo 2 > code/more.py; {read}; rm code/more.py",
    "and its directory's time was put back": (
        "cp -p spec.py old; touch -r code old; echo 2 > code/more.py; {read}; rm code/more.py; touch -r old code"
    ),
    "a directory came and went": "mkdir code/deep; echo 2 > code/deep/x.py; {read}; rm -r code/deep",
    "a file was away": "mv code/model.py code/.gone; {read}; mv code/.gone code/model.py",
    "a file of the tool was": "cp {tool} old; echo 2 > {tool}; {read}; cat old > {tool}",
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_step_is_not_recorded_when_an_input_was_edited_and_is_as_before_when_it_ends(
    built: Workshop, edit: str
) -> None:
    read = "mkdir model; cat code/*.py spec.py > model/code"
    built.commands["model"] = edit.format(read=read, tool=built.tool)
    before = built.targets()
    errors = [str(outcome.error) for outcome in built.build().outcomes if outcome.error]
    assert len(errors) == 1
    assert "changed while it ran" in errors[0]
    assert built.targets() == before
    assert "model" in [outcome.step for outcome in built.status().outcomes if outcome.state == "stale"]


def test_step_is_recorded_when_an_input_got_another_name_while_it_ran(built: Workshop) -> None:
    """As where a cache takes a file in by a hard link."""
    for change in ("ln spec.py linked", "rm linked"):
        built.commands["model"] = f"mkdir model; cat code/*.py spec.py > model/code; {change}"
        assert built.ran(target="model") == ["model"]


def test_step_is_recorded_when_bytecode_came_to_its_directory_while_it_ran(built: Workshop) -> None:
    for change in ("mkdir code/__pycache__", "touch code/__pycache__/a", "rm -r code/__pycache__"):
        built.commands["model"] = f"mkdir model; cat code/*.py spec.py > model/code; {change}"
        assert built.ran(target="model") == ["model"]


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("fetch.sh", 0o644, ["fetch.sh changed"]),
        ("code/tool.sh", 0o600, ["code/tool.sh changed"]),
        ("code/plain.py", 0o755, ["code/plain.py changed"]),
        ("made", 0o755, ["made altered since it was made"]),
        ("fetch.sh", 0o711, []),
        ("code/plain.py", 0o600, []),
        ("../tool.py", 0o755, []),
    ],
)
def test_right_to_execute_counts_and_no_other_permission_does(
    tmp_path: Path, name: str, change: int, expected: list[str]
) -> None:
    root = tmp_path / "root"
    (root / "code").mkdir(parents=True)
    for each, mode in {"fetch.sh": 0o755, "code/tool.sh": 0o755, "code/plain.py": 0o644, "../tool.py": 0o644}.items():
        (root / each).write_text("echo > made\n")
        (root / each).chmod(mode)
    tools = {"tool.py": str(tmp_path / "tool.py")}
    steps = [Step("s", "[ -x fetch.sh ]; sh fetch.sh", ["fetch.sh", "code"], ["made"], tools=tools)]
    assert build(steps, root=root).ok
    (root / name).chmod(change)
    reasons = status(steps, root=root).outcomes[0].reasons
    assert [str(reason) for reason in reasons] == expected
    assert all("… executable" in reason.detail() for reason in reasons)
    assert build(steps, root=root).ok
    assert build(steps, root=root).up_to_date
