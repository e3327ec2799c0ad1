"""What the packager refuses: each with its message and its exit code, and the last good model untouched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from model_side.package.flags import DTYPES, PARAM_TYPES

from .conftest import BODIES, FLAGS, Author

Change = Callable[[Author], object]


def spec(text: str) -> Change:
    return lambda author: author.declare(text)


EVERY_KIND = """
TAGS, SERIALIZATION, TOLERANC, TOLERANCE, VERIFICATION = 3, "x", {}, {"rtol": -1}, {"hermetc": True}
ARTIFACTS, MODEL_CONFIG, MODEL_SIGNATURE, CHECKS = {"w": "/mnt/w"}, {1: 2}, "none", 1
"""
# As a data loader hands on what its worker raised.
WORKERS = """raise ValueError(f'Original Traceback:\\n  File "{__file__}", line 7')"""
HALF = "MODEL_SIGNATURE = ModelSignature(MODEL_SIGNATURE.inputs)\nROWS_MATCH = 'no'"


def write(author: Author, name: str, text: str) -> None:
    (author.root / name).parent.mkdir(parents=True, exist_ok=True)
    (author.root / name).write_text(text)


def put(name: str, text: str = "secret") -> Change:
    return lambda author: write(author, name, text)


def code(old: str, new: str) -> Change:
    return lambda author: author.replace(old, new)


def body(name: str, text: str) -> Change:
    return code(BODIES[name], text)


def forward(text: str) -> Change:
    return body("_forward", text)


def init(text: str, more: str = "") -> Change:
    return lambda author: author.add(f"def __init__(self{more}):\n        {text}")


def predict(arguments: str) -> Change:
    return lambda author: author.add(
        f"def predict(self, {arguments}):\n        return super().predict(None, model_input)"
    )


def params(inert: str = "[]") -> Change:
    schema = 'ParamSchema([ParamSpec("factor", "double", 2.0)])'
    signature = f"ModelSignature(MODEL_SIGNATURE.inputs, MODEL_SIGNATURE.outputs, {schema})"
    return spec(f"from mlflow.types import ParamSpec\nMODEL_SIGNATURE = {signature}\nINERT_PARAMS = {inert}")


def both(one: Change, other: Change) -> Change:
    return lambda author: (one(author), other(author))


def nothing(author: Author) -> None:
    """Change nothing: the flags are wrong."""


def refused(name: str, change: Change, *words: str, flags: tuple[str, ...] = FLAGS, exit_code: int = 2) -> Any:
    return pytest.param(change, flags, exit_code, words, id=name)


failed = partial(refused, exit_code=1)


NO_EXAMPLE = (*FLAGS[:2], *FLAGS[4:])
FRAME = "import pandas; INPUT_EXAMPLE = pandas.DataFrame"
ONE = "np.ones((len(input_obj), 4))"
BAD_FLAGS = [
    (["--output-shape", "[-1,"], ["--output-shape", "not JSON", "line 1, column 5"]),
    (["--output-shape", '{"a":1}'], ["--output-shape", "a JSON list of lengths"]),
    (["--model-config-json", "{'a':1}"], ["--model-config-json", "not JSON", "line 1, column 2"]),
    (["--extra-params-spec-json", "[1]"], ["--extra-params-spec-json", "a JSON object"]),
    (["--extra-params-spec-json", '{"n":"integr"}'], ['"n"', "Did you mean 'integer'?", *PARAM_TYPES]),
    (["--output-dtype", "flaot32"], ["--output-dtype", "Did you mean 'float32'?", *DTYPES]),
    (["--model-tag", "x"], ["--model-tag", "NAME=VALUE"]),
    (["--artifact", "w=a", "--artifact", "w=b"], ["--artifact", "'w' is given twice"]),
    (["--output-shape", "x", "--output-dtype", "y"], ["--output-shape", "--output-dtype"]),
    (["--no-such-flag"], ["--no-such-flag"]),
]
FAULTS = [
    *(refused(" ".join(flags), nothing, *words, flags=tuple(flags)) for flags, words in BAD_FLAGS),
    refused("no requirements.txt", lambda a: (a.root / "requirements.txt").unlink(), "requirements.txt", "no such file",
          "uv pip compile"),
    refused("an editable requirement", put("requirements.txt", "-e .\n"), "requirements.txt", "-e ."),
    refused("no model_spec.py", lambda a: (a.root / "model_spec.py").unlink(), "model_spec.py", "no such file"),
    refused("a spec that raises", spec("1 / 0"), "model_spec.py", "ZeroDivisionError", "1 / 0"),
    refused("a misspelt entry", spec("ARTEFACTS = {}"), "ARTEFACTS", "did you mean ARTIFACTS"),
    refused("an unknown check", spec("VERIFICATION = {'portabel': True}"), "VERIFICATION", "portabel"),
    *(refused(f"variables as {value}", spec(f"VERIFICATION = {{'environment': {value}}}"),
          'VERIFICATION["environment"]: ' + words)
      for value, words in (("{'REF_SCALE': '3'}", "expected a list of names"), ("'REF_SCALE'", "expected a list"),
            ("['A=1']", "not a name: 'A=1'"), ("['PYTHONPATH']", "PYTHONPATH: no run has it"))),
    refused("a variable that is not set", spec("VERIFICATION = {'environment': ['REF_SCALE_OF_TESTS']}"),
          "environment variable REF_SCALE_OF_TESTS: not set, and the model needs it", "export REF_SCALE_OF_TESTS=..."),
    refused("two faults at once", spec("TAGS = 3\nALLOW_NAN = 'no'"), "TAGS", "ALLOW_NAN"),
    refused("faults of every kind at once", spec(EVERY_KIND), "TAGS: expected a dict", "SERIALIZATION: expected",
            "TOLERANC: unknown entry", "TOLERANCE: expected", "hermetc", 'ARTIFACTS["w"]: expected a path inside',
            "MODEL_CONFIG: expected", "INPUT_EXAMPLE", "CHECKS: expected a function",
            "MODEL_SIGNATURE: expected a ModelSignature", flags=()),
    refused("a signature without outputs and an entry of a wrong type", spec(HALF), "it has no outputs",
            "ROWS_MATCH: expected a bool", flags=FLAGS[:4]),
    failed("a message with the traceback of a worker", forward(WORKERS),
           'tiny_mlflow_pkg/model_code/tiny_mlflow_model.py", line 7'),
    refused("an artifact outside model_data", spec('ARTIFACTS = {"w": "/mnt/w.pt"}'), 'ARTIFACTS["w"]',
          "expected a path inside model_data/", "/mnt/w.pt"),
    refused("no signature", spec("del MODEL_SIGNATURE"), "MODEL_SIGNATURE: not given"),
    refused("no example", nothing, "INPUT_EXAMPLE: not given", "--example-uri", flags=NO_EXAMPLE),
    refused("a missing checkpoint", nothing, "--checkpoint", "model_data/tf_tny",
          flags=("--checkpoint", "model_data/tf_tny", *FLAGS[2:])),
    refused("a missing example", nothing, "--example-uri", "tiny.txt", flags=(*FLAGS, "--example-uri", "tiny.txt")),
    refused("no such module", nothing, "--model-class", "model_code.tinny",
          flags=(*FLAGS, "--model-class", "model_code.tinny:M")),
    refused("no such class", nothing, "no such class", "TinyMLflowModel",
          flags=(*FLAGS, "--model-class", "model_code.tiny_mlflow_model:TinyMLflowModl")),
    refused("a class that is no model", nothing, "expected a subclass of mlflow.pyfunc.PythonModel", "typing.Any",
          flags=(*FLAGS, "--model-class", "model_code.tiny_mlflow_model:Any")),
    refused("another name for context", code("self, context):", "self, c):"), "load_context(self, context)",
          "load_context(self, c)", "model_code/tiny_mlflow_model.py:"),
    failed("a missing dependency", code("import numpy as np\n", "import numpy as np\nimport no_such_thing\n"),
          "no_such_thing", "requirements.in"),
    failed("a forward pass that raises", forward("return self.no_such_weight"), "AttributeError", "no_such_weight",
          "model_code/tiny_mlflow_model.py", "return self.no_such_weight"),
    failed("a load_context that raises", body("load_context", 'raise RuntimeError("bad weights")'),
          "RuntimeError: bad weights", 'raise RuntimeError("bad weights")'),
    failed("another width", forward('return np.ones((2, 5), "float32")'), "4", "5"),
    failed("a NaN", forward(f'return ({ONE} * np.nan).astype("float32")'), "NaN"),
    failed("random output", forward(f'return (np.random.rand() * {ONE}).astype("float32")'),
          "two predictions of one input differ"),
    failed("a sys.exit", forward("raise SystemExit(0)"), "forward pass", "SystemExit"),
    failed("a check that raises", spec("def CHECKS(example, params, output):\n    assert output.sum() == 1, 'sum'"),
          "CHECKS", "AssertionError", "sum"),
    # what each entry of model_spec.py may be
    *(refused(f"{name} of another type", spec(f"{name} = {value}"), f"{name}: expected a", f"got a {got}")
      for name, value, got in (("ARCHETYPE", "1", "int"), ("MODEL_CLASS", "None", "NoneType"),
            ("MODEL_SIGNATURE", "{}", "dict"), ("ARTIFACTS", "[]", "list"), ("MODEL_CONFIG", "'x'", "str"),
            ("TOLERANCE", "0.1", "float"), ("ALLOW_NAN", "1", "int"), ("TAGS", "3", "int"), ("LICENSE", "3", "int"),
            ("ROWS_MATCH", "'yes'", "str"), ("INERT_PARAMS", "'k'", "str"),
            ("OUTPUT_FILES", "0", "int"), ("CHECKS", "3", "int"))),
    refused("an artifact's name that is no identifier", spec('ARTIFACTS = {"a b": "model_data/tiny.txt"}'), "ARTIFACTS",
          "identifiers", "'a b'"),
    refused("an artifact that climbs out", spec('ARTIFACTS = {"w": "model_data/../tiny"}'), 'ARTIFACTS["w"]',
          "expected a path inside model_data/"),
    refused("an artifact that is not there", spec('ARTIFACTS = {"w": "model_data/none"}'),
          'ARTIFACTS["w"]: no such file or directory: model_data/none', "invoke download-data"),
    *(refused(f"an artifact that is {said}", put("model_data/tf_tiny/w.npz", text),
              'artifact "checkpoint": tf_tiny/w.npz', said)
      for said, text in (("a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\n"), ("an empty file", ""),
            ("cut off", "PK\x03\x04"), ("an HTML page", "<html>"))),
    refused("data of the code that is a pointer", put("model_code/w.txt", "version https://git-lfs.github.com/spec/v1\n"),
          "model_code/w.txt: a Git LFS pointer"),
    refused("a signature without outputs", spec("MODEL_SIGNATURE = ModelSignature(inputs=MODEL_SIGNATURE.inputs)"),
          "MODEL_SIGNATURE: it has no outputs", flags=FLAGS[:4]),
    refused("an example without rows", spec(f"{FRAME}({{'input_uri': []}})"), "INPUT_EXAMPLE: it has no rows",
          flags=NO_EXAMPLE),
    refused("an example with other params", spec(f"{FRAME}({{'input_uri': ['x']}}), [1]"),
          "INPUT_EXAMPLE: expected params in a dict, got a list", flags=NO_EXAMPLE),
    refused("an example outside model_data", spec(f"{FRAME}({{'input_uri': ['model_spec.py']}})"),
          "INPUT_EXAMPLE: expected a file inside model_data/", "model_spec.py", flags=NO_EXAMPLE),
    refused("an example of another column", spec(f"{FRAME}({{'uri': ['x']}})"), "INPUT_EXAMPLE: does not fit",
          'unknown column "uri"', "input_uri", flags=NO_EXAMPLE),
    refused("an example with an unknown param",
          spec(f"{FRAME}({{'input_uri': ['model_data/tiny.txt']}}), {{'batch': 1}}"), "INPUT_EXAMPLE",
          'unknown param "batch"', flags=NO_EXAMPLE),
    refused("a spec with a syntax error", spec("TAGS = {"), "model_spec.py", "SyntaxError", "TAGS = {"),
    failed("a spec that exits", spec("raise SystemExit(0)"), "SystemExit", "model_spec.py"),
    # files that must not travel
    *(refused(f"{name} among the artifacts", put(f"model_data/tf_tiny/{name}"),
          f'artifact "checkpoint": tf_tiny/{name}', "must not travel")
      for name in (".env", ".git", "sub/server.pem", "id_rsa", "deep/er/private.key", ".netrc")),
    refused("a key in the code", put("model_code/certs/server.key"), "model_code/certs/server.key", "must not travel"),
    refused("a link to nothing", lambda a: (a.root / "model_data/tf_tiny/w").symlink_to("gone"), "tf_tiny/w", "gone"),
    refused("a pipe", lambda a: os.mkfifo(a.root / "model_data/tf_tiny/w"), "tf_tiny/w", "expected a file", "a pipe"),
    refused("a name that is not UTF-8", put(os.fsdecode(b"model_data/tf_tiny/\xff")), r"tf_tiny/\xff", "not UTF-8"),
    refused("weights larger than the disk", lambda a: os.truncate(a.root / "model_data/tf_tiny/scale.txt", 2**42),
          "--out-dir: not enough disk space", "4096.1 GiB", "GiB free"),
    # what the methods do
    *(failed(f"an os._exit in {name}", body(name, "import os; os._exit(0)"), "forward pass", "exit code 0")
      for name in BODIES),
    *(failed(f"{name} that hangs", body(name, "import threading; threading.Event().wait()"), "longer than 3 s",
          "--time-limit", f", in {name}\n", "import threading; threading.Event().wait()",
          flags=(*FLAGS, "--time-limit", "3")) for name in ("load_context", "_forward")),
    failed("code that never lets go", both(spec("TIME_LIMIT = 3"), forward("import re; re.match('(a*)*b', 'a' * 99)")),
          "longer than 3 s", "Its input: 1 row of input_uri", "Where it was (most recent call last):", ", in _forward"),
    *(refused(f"the TIME_LIMIT {value}", spec(f"TIME_LIMIT = {value}"), "TIME_LIMIT: expected")
      for value in ("0", "True", "0.5")),
    *(failed(f"{dtype} for a float32", forward(f'return {ONE}.astype("{dtype}")'), f"expected float32, got {dtype}")
      for dtype in ("float64", "float16", "int64", "object")),
    *(failed(f"the shape {shape}", forward(f'return np.ones({shape}, "float32")'),
          f"wrong shape: expected (-1, 4), got {shape}") for shape in ("(4,)", "(2, 4, 1)")),
    failed("a model that imports what is beside its package", both(put("mine.py", "x = 1"), forward("import mine")),
          "No module named 'mine'", "If mine is a package, add it to requirements.in."),
    failed("an _get_input that raises", body("_get_input", "return open(uri + '.none')"), "FileNotFoundError",
          "return open(uri + '.none')"),
    failed("an os._exit at import", code("import numpy as np\n", "import os\nos._exit(0)\n"), "save", "exit code 0"),
    failed("a kill", forward("import os; os.kill(os.getpid(), 9)"), "SIGKILL", "run out of memory. It held",
          "Its input: 1 row of input_uri"),
    failed("a kill while a process in its own session holds the pipe",
          forward("import os, time; os.fork() or (os.setsid(), time.sleep(600)); os.kill(os.getpid(), 9)"), "SIGKILL"),
    failed("a crash", forward("import ctypes; ctypes.string_at(0)"), "SIGSEGV", ", in _forward\n"),

    failed("more memory than there is",
          forward("import resource; resource.setrlimit(resource.RLIMIT_AS, (2**33,) * 2); return np.ones((2**34, 4))"),
          "MemoryError", "Unable to allocate", "It ran out of memory: it held",
          "RLIMIT_AS or RLIMIT_DATA allows it 8192"),
    failed("a None", forward("return None"), "forward pass"),
    failed("no output", forward('return np.ones((0, 4), "float32")'), "the output of INPUT_EXAMPLE is empty",
          "float32 [0, 4]", "proves nothing"),
    failed("fewer rows than declared", spec("MINIMUM_ROWS = 3"), "expected at least 3 rows, as MINIMUM_ROWS",
          "got 2"),
    *(refused(f"the MINIMUM_ROWS {value}", spec(f"MINIMUM_ROWS = {value}"), "MINIMUM_ROWS: expected")
      for value in ("-1", "True", "0.5")),
    failed("no width", forward('return np.ones((2, 0), "float32")'), "wrong shape", "(2, 0)"),
    failed("an infinity", forward(f'x = {ONE}; x[1, 2] = np.inf; return x.astype("float32")'),
          "1 of 8 values are NaN or infinite", "[1, 2]"),
    failed("another length than its input", spec("ROWS_MATCH = True"), "expected 1 rows, got 2"),
    failed("another directory", forward(f'import os; os.chdir("/"); return {ONE}.astype("float32")'),
          "it changed the working directory: got /", "absolute paths"),
    failed("files in the working directory", forward(f'open("log.txt", "w").close(); return {ONE}.astype("float32")'),
          "it wrote to the working directory: got log.txt"),
    failed("a thread that does not end",
          code("import numpy as np\n", "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
               "import numpy as np\n"), "the process does not end"),
    failed("a thread that only an exit hook ends",
          forward(f"import atexit, threading; kept = threading.Event(); threading.Thread(target=kept.wait).start()"
                  f"; atexit.register(kept.set); return {ONE}.astype('float32')"), "the process does not end"),
    failed("a process that stays",
          forward(f'import subprocess; self.kept = subprocess.Popen(["sleep", "600"]); return {ONE}.astype("float32")'),
          "it left processes behind: sleep"),
    failed("a process that stays in a session of its own",
          forward('import subprocess; subprocess.Popen(["sleep", "600"], start_new_session=True)'
                  f'; return {ONE}.astype("float32")'), "it left processes behind: sleep"),
    failed("what cannot be pickled", init("self.lock = __import__('threading').Lock()"), "cannot pickle", "lock",
          "--serialization code"),
    refused("an __init__ with an argument", init("pass", ", depth"),
          "TinyMLflowModel: it cannot be made without arguments", "depth"),
    refused("the package's own path in the state", init("self.here = __file__"),
          "python_model.pkl: it would carry a path of this machine", "load_context"),
    # what MLflow takes for the declared signature, or does not call
    *(refused(f"the type hint {hint}", predict(f"context, model_input: {hint}, params=None"),
          "predict of TinyMLflowModel: the type hint of model_input overrides MODEL_SIGNATURE", hint)
      for hint in ("list[str]", "list[dict[str, str]]")),
    refused("a type hint without context", predict("model_input: list[str], params=None"),
          "the type hint of model_input overrides"),
    refused("no predict", code("from . import", "from mlflow.pyfunc import PythonModel as"),
          "TinyMLflowModel: it has no predict"),
    # params that can have no effect
    *(refused(f"params for predict({arguments})", both(params(), predict(f"context, model_input{arguments}")),
          "predict of TinyMLflowModel: MLflow would not give it the params factor", "params=None", "predict(self")
      for arguments in ("", ", **params", ", parameters=None", ", params=None, /")),
    failed("a param that nobody reads", both(params(), forward(f'return {ONE}.astype("float32")')),
          'params: "factor" has no effect', "the same for 2.0, 5.0, 1.0, -3.0, 2000.0", "INERT_PARAMS"),
    failed("a param that is read under another name", both(params(),
          forward(f'return ({ONE} * params.get("facter", 1.0)).astype("float32")')), '"factor" has no effect'),
    failed("an inert param that changes the answer", both(params('["factor"]'),
          forward(f'return ({ONE} * params["factor"]).astype("float32")')),
          'INERT_PARAMS: "factor" changes the answer', "2.0 and 5.0"),
    refused("a PERTURB that stays behind", spec("PERTURB = lambda path, order, target: None"),
            "PERTURB: expected a function that is imported from model_code"),
    refused("an inert param that is not there", spec('INERT_PARAMS = ["bach_size"]'), "INERT_PARAMS: unknown param",
          "bach_size"),
    # methods
    *(refused(f"no {name}", code(f"def {name}(", f"def {name}_of("),
          f"TinyMLflowModel: it has no {name}, which predict calls", "Write it in model_code/tiny_mlflow_model.py.")
      for name in ("_get_input", "_forward")),
    refused("neither method", both(code("def _get_input(", "def get_input("), code("def _forward(", "def forward(")),
          "it has no _get_input and no _forward, which predict calls"),
    *(failed(f"a {name} instead of an array", forward(f"return {given}"),
          f"TypeError: _forward returned a {name}: expected a numpy.ndarray")
      for name, given in (("list", "[[1.0] * 4]"), ("tuple", "([1.0] * 4,)"), ("NoneType", "None"))),
    # modules
    refused("a class beside model_code",
          lambda a: write(a, "mine.py", a.code.read_text().replace("from .", "from model_code")),
          "mine.py: it does not travel", "in model_code/", flags=(*FLAGS, "--model-class", "mine:TinyMLflowModel")),
    *(refused(f"the model class {name}", nothing, "module:Class", name, flags=(*FLAGS, "--model-class", name))
      for name in ("model_code", ":Tiny", "..:Tiny", "model_code/tiny.py:Tiny")),
    failed("a module without its package's name",
          both(put("model_code/mine.py"), code("import numpy as np\n", "import mine\n")), "No module named 'mine'",
          "import model_code.mine, or relatively"),
    failed("a module that is not there", code("import numpy as np\n", "import numpy as np\nfrom .none import x\n"),
          "There is no model_code/none.py"),
    # entries that MLflow would alter or choke on
    *(refused(f"the MODEL_CONFIG {value}", spec(f"MODEL_CONFIG = {value}"), "MODEL_CONFIG: expected what JSON can hold")
      for value in ("{'a': {1}}", "{'a': float('nan')}", "{1: 2}", "{'a': (1, 2)}", "{'a': np.float32(1)}")),
    *(refused(f"the TOLERANCE {name} {value}", spec(f"TOLERANCE = {{'{name}': {value}}}"),
          'TOLERANCE: expected "rtol" and "atol" with numbers from 0', f"'{name}'") for name, value in (
          ("rtl", "1"), ("atol", "-1"), ("rtol", "float('nan')"), ("rtol", "float('inf')"), ("rtol", "True"))),
    refused("a numpy bool", spec("ALLOW_NAN = np.bool_(True)"), "ALLOW_NAN: expected a bool, got a numpy."),
    refused("an entry in small letters", spec("model_config = {}; del MODEL_CONFIG"),
          "model_config: unknown entry: did you mean MODEL_CONFIG?"),
    refused("a check of other arguments", spec("def CHECKS(output): pass"),
          "CHECKS: expected a function of example, params and output, got one of output"),
    failed("a check that returns False", spec("def CHECKS(example, params, output): return output.sum() < 0"),
          "CHECKS: it returned a verdict", "False", "raise"),
    failed("an interrupt that the author raises", spec("raise KeyboardInterrupt"), "it raised KeyboardInterrupt"),
    refused("a param whose default is of another type", nothing, "--extra-params-spec-json", "'n'",
          flags=(*FLAGS, "--extra-params-spec-json", '{"n": {"type": "integer", "default": "x"}}')),
    refused("an example of no text", spec(f"{FRAME}({{'input_uri': [None]}})"), "INPUT_EXAMPLE: expected a path or URI",
          "None", flags=NO_EXAMPLE),
    refused("an example of another dtype",
          spec( "from mlflow.types import ColSpec; INPUT_EXAMPLE = {'input_uri': [1]}"), "INPUT_EXAMPLE",
          "expected a string, got 1", flags=NO_EXAMPLE),
    # what lies in itself
    refused("a link that leads back", lambda a: (a.root / "model_data/tf_tiny/back").symlink_to("."),
          "tf_tiny/back: a link to a directory that it lies in itself"),
    refused("a link in the code that leads back", lambda a: (a.root / "model_code/back").symlink_to(".."),
          "model_code/back: a link to a directory that it lies in itself"),
    refused("an artifact that would hold the model", nothing, 'artifact "all": the MLflow Model would lie in it',
          flags=(*FLAGS, "--artifact", "all=.")),
    # the command line
    *(refused(f"the time limit {limit}", nothing, "--time-limit", flags=(*FLAGS, "--time-limit", limit))
      for limit in ("0", "-1", "nan", "inf", "soon")),
    failed("an __init__ that raises", init("raise RuntimeError('no GPU')"), "RuntimeError: no GPU"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "flags", "exit_code", "words"), FAULTS)
def test_packager_refuses_and_the_last_good_model_stands_when_there_is(
    packaged: Author, change: Change, flags: tuple[str, ...], exit_code: int, words: list[str]
) -> None:
    before = packaged.files()
    change(packaged)
    done = packaged.package(*flags)
    assert done.returncode == exit_code
    assert all(word in done.stderr for word in words), [word for word in words if word not in done.stderr]
    assert "model_side" not in done.stderr
    assert "mlflow_model_artifacts/code/" not in done.stderr
    assert packaged.files() == before
    assert not list(packaged.root.glob(".mlflow_model_artifacts*"))


def test_nothing_is_left_beside_the_model_when_the_packager_is_asked_to_end(author: Author) -> None:
    reached = author.root.parent / "reached"
    os.mkfifo(reached)
    forward(f"open({str(reached)!r}, 'w').close(); __import__('threading').Event().wait()")(author)
    command = [sys.executable, "mlflow_packager.py", *FLAGS]
    process = subprocess.Popen(command, cwd=author.root, stderr=subprocess.PIPE, text=True)
    reached.read_text()
    assert list(author.root.glob(".mlflow_model_artifacts*"))
    process.terminate()
    assert "interrupted" in process.communicate()[1]
    assert process.returncode == 130
    assert not list(author.root.glob(".mlflow_model_artifacts*"))
