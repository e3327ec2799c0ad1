"""What the README and the page of the house say is there: make targets, command lines, files."""

from __future__ import annotations

import importlib.util
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from invoke import Collection

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def tasks() -> Collection:
    found = importlib.util.spec_from_file_location("tasks", REPOSITORY / "tasks.py")
    assert found
    assert found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return Collection.from_module(module)


def make_help() -> str:
    return subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout


def make_targets() -> set[str]:
    return {line.split()[0] for line in make_help().splitlines() if line}


def test_every_verb_can_be_made() -> None:
    assert set(tasks().task_names) <= make_targets()


def test_every_verb_is_told_in_one_line_by_make_help() -> None:
    collection, lines = tasks(), make_help().splitlines()
    for name in collection.task_names:
        told = next(line for line in lines if line.split(maxsplit=1)[0] == name).split(maxsplit=1)[1]
        assert told == (collection[name].__doc__ or "").strip().splitlines()[0]


def test_make_help_fits_a_terminal_with_words_whole() -> None:
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "dumb", "COLUMNS": "80"}
    process = subprocess.Popen(["make", "help"], cwd=REPOSITORY, env=environment, stdout=slave, stderr=slave)
    os.close(slave)
    text = b""
    with suppress(OSError):  # its end
        while part := os.read(master, 65536):
            text += part
    os.close(master)
    assert process.wait() == 0
    lines = text.decode().splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(make_help().split()) == " ".join(" ".join(lines).split())


def test_every_flag_of_a_verb_is_explained() -> None:
    collection = tasks()
    for name in collection.task_names:
        task = collection[name]
        unexplained = [argument.name for argument in task.get_arguments() if not argument.help]
        assert not unexplained, (name, unexplained)


def test_every_path_of_the_tree_exists() -> None:
    page = (REPOSITORY / "docs" / "explanation" / "house.md").read_text(encoding="utf-8")
    tree = page.partition("## The tree")[2].partition("## A package")[0]
    names = re.findall(r"^( {4,6})([\w.-]+/?) ", tree, re.MULTILINE)
    paths = [("scripts/" if len(indent) == 6 else "") + name for indent, name in names]
    assert len(paths) > 10
    assert [path for path in paths if path != "models/" and not (REPOSITORY / path).exists()] == []


@pytest.mark.parametrize("script", sorted(set(re.findall(r"python (scripts/\w+\.py)", README))))
def test_every_command_line_explains_itself(script: str) -> None:
    done = subprocess.run(
        [sys.executable, script, "--help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage:")
    for flags in re.findall(rf"python {re.escape(script)}(.*)", README):
        assert all(flag in done.stdout for flag in re.findall(r"--[a-z-]+", flags))
