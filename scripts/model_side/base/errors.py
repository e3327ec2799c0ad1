"""Errors: facts as fields, text by ``str``, one handler for every command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

from .found import report_found

INTERRUPTED = 130
# What the command lines need of the model environment, and of the tool's.
_OF_MODEL = ("mlflow", "numpy", "pandas", "yaml")
_OF_TOOL = ("filelock", "fsspec", "jinja2", "requests", "rich", "tenacity", "tomlkit", "urllib3", "watchdog", "yaml")

SUFFIX = "_mlflow_pkg"  # of a package's directory, behind the model's name
_DEFAULT = "models"  # of invoke.yaml, in the directory of tasks.py


@dataclass(eq=False, repr=False)
class ReportedError(Exception):
    """A fault that a person can fix.

    Parameters
    ----------
    subject : str
        The file, flag or value at fault, as the person knows it.
    fault : str
        What is wrong, without a full stop.
    expected, got : str, optional
        What was wanted and what was found.
    advice : str, optional
        What to do, as a sentence.
    author_traceback : str, optional
        Traceback through the author's own code, shown above the message.
    """

    subject: str
    fault: str
    _: KW_ONLY
    expected: str | None = None
    got: str | None = None
    advice: str = ""
    author_traceback: str = ""
    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        facts = [f"expected {self.expected}"] if self.expected is not None else []
        facts += [f"got {self.got}"] if self.got is not None else []
        head = f"{self.subject}: {self.fault}" + (f": {', '.join(facts)}" if facts else "")
        if head.endswith("\n"):
            return f"{head}{self.advice}"
        return f"{head if head.endswith(('.', '?')) else f'{head}.'} {self.advice}".rstrip()


class StepError(ReportedError):
    """The work itself failed: a forward pass, a check, a download."""


class UsageError(ReportedError):
    """The request is invalid: a flag, a path, a spec, a payload."""

    exit_code: ClassVar[int] = 2


def listed(faults: Iterable[str], most: int | None = None) -> str:
    """Return faults as the lines below a message, nothing where there is none; those beyond `most` are not computed."""
    lines = list(islice(faults, most and most + 1))
    if most and len(lines) > most:
        lines[most:] = ["and more"]
    return "".join(f"\n  {line}" for line in lines)


def near(name: str, known: Iterable[str]) -> str:
    """Return a question that names the known name which is nearest to `name`, or nothing where none is near."""
    from difflib import get_close_matches  # only a message needs it

    return next((f"Did you mean {match!r}?" for match in get_close_matches(name, list(known), 1)), "")


def invoke(task: str, place: Path | None = None) -> str:
    """Return the command that runs a task of the chain on one model, in backticks.

    Parameters
    ----------
    task : str
        The task, with its own flags.
    place : Path, optional
        The model's package, or what lies in it; the working directory by default. Where it is in no package, NAME
        stands for the model.
    """
    here = (place or Path()).absolute()
    package = next((path for path in (here, *here.parents) if path.name.endswith(SUFFIX)), None)
    return f"`invoke {task} {_flags(package)}`"


def _flags(package: Path | None) -> str:
    if package is None:
        return "--model NAME"
    from shlex import quote  # only a message needs it

    models = package.parent
    is_default = models.name == _DEFAULT and (models.parent / "tasks.py").is_file()
    directory = "" if is_default else f" --models-dir {quote(str(models))}"
    return f"--model {quote(package.name.removesuffix(SUFFIX))}{directory}"


def require_known(name: str, names: Iterable[str], subject: str, kind: str) -> str:
    """Return `name` if it is one of `names`.

    Raises
    ------
    UsageError
        If it is not, with the nearest that is.
    """
    names = list(names)
    if name in names:
        return name
    expected = f"one of {', '.join(names)}"
    raise UsageError(subject, f"unknown {kind}", expected=expected, got=repr(name), advice=near(name, names))


def run_main(main: Callable[[], int], *kinds: type[Exception], is_tool: bool = False) -> int:
    """Run a command line and turn its errors into text on stderr and an exit code; with --json, into a document, too.

    Parameters
    ----------
    main : callable
    *kinds : type
        Other errors that have an ``exit_code`` and a text for a person: the engine has its own.
    is_tool : bool
        Whether the tool's environment has what the command line needs, and not the model's.
    """
    reported: tuple[type[Exception], ...] = (ReportedError, *kinds)
    try:
        return main()
    except reported as error:
        if own := getattr(error, "author_traceback", ""):
            print(own.rstrip(), file=sys.stderr)
        _tell(str(error))
        report_found({"error": str(error)})
        return int(getattr(error, "exit_code", 1))
    except (ImportError, AttributeError) as error:  # an old Python lacks parts of its own modules, too
        missing = _missing(error, _OF_TOOL if is_tool else _OF_MODEL)
        if not missing:
            raise
        fault = f"{Path(sys.argv[0]).name}: {sys.executable} has no {missing}"
        _tell(f"{fault}. Run it with {_interpreter(is_tool=is_tool)}.")
        return UsageError.exit_code
    except OSError as error:
        reason = error.strerror or str(error)
        _tell(f"{error.filename or 'file system'}: {reason}. Fix it and try again.")
        return 1
    except KeyboardInterrupt:
        _tell("interrupted", head="")
        return INTERRUPTED


def _tell(error: str, head: str = "error: ") -> None:
    print(f"{head}{error}", file=sys.stderr)
    if "--json" in sys.argv:
        print(json.dumps({"ok": False, "models": [], "error": error}, indent=2))


def _missing(error: Exception, libraries: Sequence[str]) -> str:
    """Return which library this interpreter lacks, if the error comes of that."""
    from importlib.util import find_spec  # only a message needs it

    if isinstance(error, ModuleNotFoundError) and error.name and error.name in libraries:
        return error.name
    return next((name for name in libraries if find_spec(name) is None), "")


def _interpreter(*, is_tool: bool) -> str:
    if is_tool:
        return f"{Path(__file__).parents[3]}/.venv/bin/python, which `make setup` there makes"
    return f".venv/bin/python of the model's package, which {invoke('sync-env')} makes"
