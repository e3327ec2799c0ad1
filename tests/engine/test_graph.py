"""The order of steps, and the declarations that have none."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

import pytest

from engine import Says, Step, build, status
from engine.errors import UsageError
from engine.graph import order
from engine.runner import Builder
from engine.walk import Pipeline


class Number(IntEnum):
    ONE = 1


def step(name: str, reads: tuple[str, ...] = (), writes: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> Step:
    return Step(name, "true", reads, writes, after=after)


def test_order_puts_each_step_after_what_it_needs_when_declared_backwards() -> None:
    steps = [step("c", ("b",), ("c",)), step("b", ("a/x",), ("b",)), step("a", (), ("a",)), step("z", after=("c",))]
    assert [each.name for each in order(steps)] == ["a", "b", "c", "z"]
    assert [each.name for each in order(steps, "b")] == ["a", "b"]


def test_long_chain_is_walked_in_order_when_its_last_step_is_declared_first(tmp_path: Path) -> None:
    (tmp_path / "f0").write_text("x")
    steps = [step(f"s{n}", (f"f{n - 1}",), (f"f{n}",)) for n in range(1100, 0, -1)]
    assert [outcome.step for outcome in status(steps, root=tmp_path).outcomes] == [f"s{n}" for n in range(1, 1101)]


def test_steps_are_walked_in_order_as_they_become_ready(tmp_path: Path) -> None:
    steps = [step("a", (), ("x",)), step("b", ("x",), ("y",)), step("c"), step("d", ("y",)), step("e", after=("a",))]
    told: list[str] = []
    pipeline = Pipeline(tmp_path, tuple(steps))
    Builder(dry_run=True, tell=lambda _, outcome: told.append(outcome.step)).build_all([pipeline])
    assert told == ["a", "b", "c", "d", "e"]


def test_targets_and_dependencies_meet_above_and_below_a_path() -> None:
    steps = [
        step("file", ("d/e/f",)),
        step("root", ("d",)),
        step("near", ("d/e2",)),
        step("w", (), ("d/e",)),
    ]
    assert [each.name for each in order(steps)] == ["w", "file", "root", "near"]
    assert order(steps, "near") == (steps[2],)


FAULTS = [
    ("a cycle", [step("a", ("y",), ("x",)), step("b", ("x",), ("y",))], ["cycle", "a → b → a"]),
    ("a cycle of one", [step("a", ("x",), ("x",))], ["cycle", "a → a"]),
    ("a cycle by declared order", [step("a", after=("b",)), step("b", after=("a",))], ["cycle", "a → b → a"]),
    ("an unknown step", [step("pack"), step("b", after=("pakc",))], ["'b'", "'pakc'", "Did you mean 'pack'?"]),
    ("a doubled target", [step("a", (), ("x",)), step("b", (), ("x",))], ["'a' and 'b'", "both write 'x'"]),
    ("a target in another's", [step("a", (), ("d",)), step("b", (), ("d/x",))], ["'a' and 'b'", "'d' and 'd/x'"]),
    ("a doubled name", [step("a"), step("a")], ["two steps are called 'a'"]),
]


@pytest.mark.parametrize(("steps", "words"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_pipeline_is_refused_before_anything_runs_when_it_has(
    steps: list[Step], words: list[str], tmp_path: Path
) -> None:
    for ask in (build, status):
        with pytest.raises(UsageError) as caught:
            ask(steps, root=tmp_path)
        for word in words:
            assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": "a b"}, ["expected a name"]),
        ({"command": ""}, ["no command"]),
        ({"targets": ["../x"]}, ["'../x'", "not inside the root"]),
        ({"targets": ["/x", "."]}, ["'/x'", "'.'"]),
        ({"targets": [".pipeline"]}, ["target '.pipeline' is the pipeline's own"]),
        ({"targets": [".pipeline/logs/x"], "evidence": [".pipeline/lock"]}, ["'.pipeline/logs/x'", "'.pipeline/lock'"]),
        ({"evidence": ["../x"]}, ["evidence '../x' is not inside the root"]),
        ({"targets": ["x"], "evidence": ["x/y"]}, ["evidence 'x/y' is the target 'x', or one lies inside the other"]),
        ({"targets": ["x", "./x"]}, ["declared twice"]),
        ({"editable": ["x"]}, ["not one of its targets"]),
        ({"proofs": ["x"]}, ["proof 'x' is not one of its targets", "proofs are of an atomic command"]),
        ({"params": {"a": [1]}, "targets": ["/y"]}, ["'a' is a list", "'/y'"]),
        (
            {"params": {"a": Says.LOG, "b": float("nan")}, "versions": {"c": Number(1)}},
            ["'a' is a Says", "'b' is a NaN", "'c' is a Number"],
        ),
        ({"dependencies": ["."]}, ["the root, with the pipeline's own files"]),
        ({"name": "s" * 101}, ["expected a name of up to 100"]),
        ({"targets": "out"}, ["a list of paths", "one string"]),
    ],
)
def test_step_is_refused_with_every_problem_when(wrong: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        Step(**{"name": "s", "command": "true", **wrong})  # type: ignore[arg-type]
    for word in words:
        assert word in str(caught.value)


def test_unknown_target_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'pack'"):
        build([step("pack")], "pak", tmp_path)
