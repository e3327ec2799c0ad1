"""A cheap pipeline of the chain's shape, made of shell lines that write in place."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from engine import Step, build, status
from engine.walk import Result

REPOSITORY = Path(__file__).resolve().parents[2]
# Before each of these a process could be killed and leave something different behind.
EVENTS = (
    "open",
    "os.link",
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "shutil.rmtree",
    "subprocess.Popen",
    "os.kill",
)


@dataclass
class Workshop:
    """A directory with a cheap pipeline in it: pin → env, data → model → payload → predict → verify."""

    root: Path
    params: dict[str, str] = field(default_factory=lambda: {"depth": "3"})
    versions: dict[str, str] = field(default_factory=lambda: {"uv": "1.0"})
    tool: Path = Path()
    commands: dict[str, str] = field(default_factory=dict)

    def steps(self) -> list[Step]:
        def shell(name: str, line: str) -> str:
            return self.commands.get(name, line)

        return [
            Step(
                "pin",
                shell("pin", "grep -v '^#' reqs.in > reqs.txt"),
                ["reqs.in"],
                ["reqs.txt"],
                versions=self.versions,
            ),
            Step("env", shell("env", "mkdir env; cp reqs.txt env/lib; date +%N >/dev/null"), ["reqs.txt"], ["env"]),
            Step("data", shell("data", "mkdir -p data; cp source.bin data/weights"), ["source.bin"], ["data/weights"]),
            Step(
                "model",
                shell(
                    "model",
                    "mkdir model; cat code/*.py code/deep/*.py spec.py > model/code; cp data/weights model/; "
                    "echo $$ > /dev/null; wc -c < env/lib > model/env",
                ),
                ["code", "spec.py", "data", "env"],
                ["model"],
                params=self.params,
                tools={"tool/packager.py": str(self.tool)},
            ),
            Step(
                "payload",
                shell("payload", "test -f payload || (wc -c < model/code > payload)"),
                ["model"],
                ["payload"],
                editable=["payload"],
            ),
            Step("predict", shell("predict", "cat model/weights payload > output"), ["model", "payload"], ["output"]),
            Step("verify", shell("verify", "cksum < output > verdict"), ["output", "model"], ["verdict"]),
        ]

    def build(self, target: str | None = None, **options: object) -> Result:
        return build(self.steps(), target, self.root, **options)  # type: ignore[arg-type]

    def status(self) -> Result:
        return status(self.steps(), None, self.root)

    def ran(self, **options: object) -> list[str]:
        """Build, expect success, and return the names of the steps that ran, or were restored."""
        result = self.build(**options)
        assert result.ok, [str(outcome.error) for outcome in result.outcomes if outcome.error]
        return [outcome.step for outcome in result.outcomes if outcome.action in ("ran", "restored")]

    def as_arguments(self) -> dict[str, object]:
        """Return what another process needs to stand before the same pipeline."""
        return {**asdict(self), "root": str(self.root), "tool": str(self.tool)}

    def targets(self) -> Mapping[str, bytes]:
        """Return the content of every file that steps made."""
        names = [target for step in self.steps() for target in step.targets]
        files: dict[str, bytes] = {}
        for name in names:
            path = self.root / name
            members = sorted(path.rglob("*")) if path.is_dir() else [path]
            files |= {str(member.relative_to(self.root)): member.read_bytes() for member in members if member.is_file()}
        return files

    def clean_build(self) -> Mapping[str, bytes]:
        """Return what a build from nothing makes of the sources as they are now."""
        other = self.root.with_name(self.root.name + "-clean")
        shutil.rmtree(other, ignore_errors=True)
        made = {step.name: step for step in self.steps()}
        tops = {target.split("/")[0] for step in made.values() for target in step.targets if "/" not in target}
        shutil.copytree(self.root, other, symlinks=True, ignore=shutil.ignore_patterns(".pipeline", *tops, "weights"))
        twin = Workshop(other, self.params, self.versions, self.tool, self.commands)
        assert twin.build().ok
        return twin.targets()


def new_workshop(base: Path) -> Workshop:
    """Return the cheap pipeline in a directory under `base`, with its sources written and nothing built."""
    root = base / "shop"
    (root / "code" / "deep").mkdir(parents=True)
    files = {"reqs.in": "# my pins\nnumpy\n", "source.bin": "weights", "spec.py": "SPEC = 1\n"}
    files |= {"code/model.py": "import helper\n", "code/helper.py": "import deep\n", "code/deep/deeper.py": "X = 1\n"}
    for name, text in files.items():
        (root / name).write_text(text)
    tool = base / "packager.py"
    tool.write_text("print('tool')\n")
    return Workshop(root, tool=tool)


def child_environment() -> dict[str, str]:
    """Return the environment in which another interpreter finds the pipeline and these tests."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "scripts")))}


def without_privileges() -> str:
    """Return Python code that starts its own program again without root's right to ignore permissions."""
    return (
        "import os, ctypes\nif not os.geteuid() and 'BARED' not in os.environ:\n"
        "    [ctypes.CDLL(None).prctl(24, right) for right in (1, 2)]  # PR_CAPBSET_DROP of CAP_DAC_*\n"
        "    os.execve(sys.executable, sys.orig_argv, {**os.environ, 'BARED': '1'})"
    )


def die_before_event(number: int) -> None:
    """Make this process kill itself before its n-th event from here on."""
    left = number

    def count(event: str, arguments: object) -> None:
        nonlocal left
        if event in EVENTS:
            left -= 1
            if left == -1:  # once: the kill is an event, too
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def main(arguments: str, events: str, target: str) -> int:
    """Build a workshop and die on the way; events of imports do not count."""
    import filelock  # noqa: F401

    facts = json.loads(arguments)
    shop = Workshop(**{**facts, "root": Path(facts["root"]), "tool": Path(facts["tool"])})
    die_before_event(int(events))
    return 0 if shop.build(target or None).ok else 1


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
