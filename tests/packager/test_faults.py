"""What the packager refuses: each with its message and its exit code, and the last good model untouched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from .conftest import BODIES, FLAGS, Author


def append_spec(text: str) -> Callable[[Author], None]:
    def change(author: Author) -> None:
        with (author.root / "model_spec.py").open("a") as stream:
            stream.write(text + "\n")

    return change


def with_body(name: str, body: str) -> Callable[[Author], None]:
    def change(author: Author) -> None:
        text = author.code.read_text()
        assert BODIES[name] in text
        author.code.write_text(text.replace(BODIES[name], body))

    return change


def replace_flag(old: str, new: str) -> tuple[str, ...]:
    return tuple(new if flag == old else flag for flag in FLAGS)


def put(name: str, text: str = "secret") -> Callable[[Author], None]:
    def change(author: Author) -> None:
        path = author.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return change


def require(line: str) -> Callable[[Author], object]:
    return lambda author: (author.root / "requirements.txt").write_text(f"mlflow==3.1.0\n{line}\n")


def replace_code(old: str, new: str) -> Callable[[Author], None]:
    def change(author: Author) -> None:
        text = author.code.read_text()
        assert old in text
        author.code.write_text(text.replace(old, new))

    return change


def with_init(body: str, more: str = "") -> Callable[[Author], object]:
    return lambda author: author.add(f"def __init__(self{more}):\n        {body}")


def with_predict(arguments: str) -> Callable[[Author], object]:
    return lambda author: author.add(
        f"def predict(self, {arguments}):\n        return super().predict(None, model_input)"
    )


CREDENTIALS = [
    "mine @ https://me:hunter2@example.org/mine.zip",
    "git+https://hunter2@example.org/mine.git",
    "--extra-index-url https://me:hunter2@example.org/simple",
    "mine @ https://example.org/mine.zip?access_token=hunter2",
]
NO_EXAMPLE = (*FLAGS[:2], *FLAGS[4:])
NO_OUTPUT = FLAGS[:4]
FRAME = "import pandas; INPUT_EXAMPLE = pandas.DataFrame"
FORWARD, LOAD = "_forward", "load_context"
ONE = "np.ones((len(input_obj), 4))"
FAULTS: list[tuple[str, Callable[[Author], object], tuple[str, ...], int, list[str]]] = [
    # what is wrong, how, the flags, the exit code, what the message says
    ("no requirements.txt", lambda a: (a.root / "requirements.txt").unlink(), FLAGS, 2,
     ["requirements.txt", "no such file", "uv pip compile"]),
    ("an editable requirement", lambda a: (a.root / "requirements.txt").write_text("-e .\n"), FLAGS, 2,
     ["requirements.txt", "-e ."]),
    ("no model_spec.py", lambda a: (a.root / "model_spec.py").unlink(), FLAGS, 2, ["model_spec.py", "no such file"]),
    ("a spec that raises", append_spec("1 / 0"), FLAGS, 2, ["model_spec.py", "ZeroDivisionError", "1 / 0"]),
    ("a misspelt entry", append_spec("ARTEFACTS = {}"), FLAGS, 2, ["ARTEFACTS", "did you mean ARTIFACTS"]),
    ("an unknown check", append_spec("VERIFICATION = {'portabel': True}"), FLAGS, 2, ["VERIFICATION", "portabel"]),
    ("two faults at once", append_spec("TAGS = 3\nALLOW_NAN = 'no'"), FLAGS, 2, ["TAGS", "ALLOW_NAN"]),
    ("an artifact outside model_data", append_spec('ARTIFACTS = {"w": "/mnt/w.pt"}'), FLAGS, 2,
     ['ARTIFACTS["w"]', "expected a path inside model_data/", "/mnt/w.pt"]),
    ("no signature", append_spec("del MODEL_SIGNATURE"), FLAGS, 2, ["MODEL_SIGNATURE: not given"]),
    ("no example", lambda a: None, (*FLAGS[:2], *FLAGS[4:]), 2, ["INPUT_EXAMPLE: not given", "--example-uri"]),
    ("a missing checkpoint", lambda a: None, replace_flag("model_data/tf_tiny", "model_data/tf_tny"), 2,
     ["--checkpoint", "model_data/tf_tny"]),
    ("a missing example", lambda a: None, replace_flag("model_data/tiny.txt", "tiny.txt"), 2,
     ["--example-uri", "tiny.txt"]),
    ("no such module", lambda a: None, (*FLAGS, "--model-class", "model_code.tinny:M"), 2,
     ["--model-class", "model_code.tinny"]),
    ("no such class", lambda a: None, (*FLAGS, "--model-class", "model_code.tiny_mlflow_model:TinyMLflowModl"), 2,
     ["no such class", "TinyMLflowModel"]),
    ("a class that is no model", lambda a: None, (*FLAGS, "--model-class", "model_code.tiny_mlflow_model:Any"), 2,
     ["expected a subclass of mlflow.pyfunc.PythonModel", "typing.Any"]),
    ("no colon", lambda a: None, (*FLAGS, "--model-class", "model_code"), 2, ["--model-class", "module:Class"]),
    ("another name for context", lambda a: a.code.write_text(a.code.read_text().replace(
        "load_context(self, context)", "load_context(self, c)").replace("context.artifacts", "c.artifacts", 1)),
     FLAGS, 2, ["load_context(self, context)", "load_context(self, c)", "model_code/tiny_mlflow_model.py:"]),
    ("a missing dependency", lambda a: a.code.write_text("import no_such_thing\n" + a.code.read_text().replace(
        "from __future__ import annotations\n", "")), FLAGS, 1, ["no_such_thing", "requirements.in"]),
    ("a forward pass that raises", with_body(FORWARD, "return self.no_such_weight"), FLAGS, 1,
     ["AttributeError", "no_such_weight", "model_code/tiny_mlflow_model.py", "return self.no_such_weight"]),
    ("a load_context that raises", with_body(LOAD, 'raise RuntimeError("bad weights")'), FLAGS, 1,
     ["RuntimeError: bad weights", 'raise RuntimeError("bad weights")']),
    ("another width", with_body(FORWARD, 'return np.ones((2, 5), "float32")'), FLAGS, 1, ["4", "5"]),
    ("a NaN", with_body(FORWARD, f'return ({ONE} * np.nan).astype("float32")'), FLAGS, 1, ["NaN"]),
    ("random output", with_body(FORWARD, f'return (np.random.rand() * {ONE}).astype("float32")'), FLAGS, 1,
     ["two predictions of one input differ"]),
    ("a sys.exit", with_body(FORWARD, "raise SystemExit(0)"), FLAGS, 1, ["forward pass", "SystemExit"]),
    ("a check that raises", append_spec("def CHECKS(example, params, output):\n    assert output.sum() == 1, 'sum'"),
     FLAGS, 1, ["CHECKS", "AssertionError", "sum"]),
    # what each entry of model_spec.py may be
    *((f"{name} of another type", append_spec(f"{name} = {value}"), FLAGS, 2, [f"{name}: expected a", f"got a {got}"])
      for name, value, got in (
          ("ARCHETYPE", "1", "int"), ("MODEL_CLASS", "None", "NoneType"), ("MODEL_SIGNATURE", "{}", "dict"),
          ("ARTIFACTS", "[]", "list"), ("MODEL_CONFIG", "'x'", "str"), ("TOLERANCE", "0.1", "float"),
          ("ALLOW_NAN", "1", "int"), ("TAGS", "3", "int"), ("ROWS_MATCH", "'yes'", "str"), ("OUTPUT_FILES", "0", "int"),
          ("CHECKS", "3", "int"))),
    ("an unknown tolerance", append_spec('TOLERANCE = {"rtl": 1}'), FLAGS, 2, ["TOLERANCE", "'rtl'"]),
    ("a negative tolerance", append_spec('TOLERANCE = {"atol": -1}'), FLAGS, 2, ["TOLERANCE", "numbers from 0", "-1"]),
    ("an artifact's name that is no identifier", append_spec('ARTIFACTS = {"a b": "model_data/tiny.txt"}'), FLAGS, 2,
     ["ARTIFACTS", "identifiers", "'a b'"]),
    ("an artifact that climbs out", append_spec('ARTIFACTS = {"w": "model_data/../tiny"}'), FLAGS, 2,
     ['ARTIFACTS["w"]', "expected a path inside model_data/"]),
    ("an artifact that is not there", append_spec('ARTIFACTS = {"w": "model_data/none"}'), FLAGS, 2,
     ['ARTIFACTS["w"]: no such file or directory: model_data/none', "invoke download-data"]),
    ("a signature without outputs", append_spec("MODEL_SIGNATURE = ModelSignature(inputs=MODEL_SIGNATURE.inputs)"),
     NO_OUTPUT, 2, ["MODEL_SIGNATURE: it has no outputs"]),
    ("an example without rows", append_spec(f"{FRAME}({{'input_uri': []}})"), NO_EXAMPLE, 2,
     ["INPUT_EXAMPLE: it has no rows"]),
    ("an example with other params", append_spec(f"{FRAME}({{'input_uri': ['x']}}), [1]"), NO_EXAMPLE, 2,
     ["INPUT_EXAMPLE: expected params in a dict, got a list"]),
    ("an example outside model_data", append_spec(f"{FRAME}({{'input_uri': ['model_spec.py']}})"), NO_EXAMPLE, 2,
     ["INPUT_EXAMPLE: expected a file inside model_data/", "model_spec.py"]),
    ("an example of another column", append_spec(f"{FRAME}({{'uri': ['x']}})"), NO_EXAMPLE, 2,
     ["INPUT_EXAMPLE: does not fit", 'unknown column "uri"', "input_uri"]),
    ("an example with an unknown param",
     append_spec(f"{FRAME}({{'input_uri': ['model_data/tiny.txt']}}), {{'batch': 1}}"),
     NO_EXAMPLE, 2, ["INPUT_EXAMPLE", 'unknown param "batch"']),
    ("a spec with a syntax error", append_spec("TAGS = {"), FLAGS, 2, ["model_spec.py", "SyntaxError", "TAGS = {"]),
    ("a spec that exits", append_spec("raise SystemExit(0)"), FLAGS, 1, ["SystemExit", "model_spec.py"]),
    # requirements that cannot travel
    *((f"the requirement {line}", require(line), FLAGS, 2, ["requirements.txt", "line 2", *words]) for line, *words in (
        ("--editable=../mine", "on this machine only"), ("./mine.whl", "on this machine only"),
        ("wheels/mine-1-py3-none-any.whl", "on this machine only"), ("/opt/mine", "on this machine only"),
        ("mine @ file:///opt/mine", "on this machine only"), ("mine @ ../mine", "on this machine only"),
        ("-r other.txt", "it names another file"), ("--constraint=c.txt", "it names another file"),
        ("--find-links wheels", "a place on this machine"), ("--index-url /srv/simple", "a place on this machine"))),
    *((f"the credential in {line}", require(line),
       FLAGS, 2, ["requirements.txt", "line 2: it holds a credential", "***"])
      for line in CREDENTIALS),
    ("requirements that are not UTF-8", lambda a: (a.root / "requirements.txt").write_bytes(b"mlflow\xff"), FLAGS, 2,
     ["requirements.txt", "expected UTF-8"]),
    # files that must not travel
    *((f"{name} among the artifacts", put(f"model_data/tf_tiny/{name}"), FLAGS, 2,
       [f'artifact "checkpoint": tf_tiny/{name}', "must not travel"])
      for name in (".env", ".git", "sub/server.pem", "id_rsa", "deep/er/private.key", ".netrc")),
    ("a key in the code", put("model_code/certs/server.key"), FLAGS, 2,
     ["model_code/certs/server.key", "must not travel"]),
    ("a link to nothing", lambda a: (a.root / "model_data/tf_tiny/w").symlink_to("gone"), FLAGS, 2,
     ["tf_tiny/w", "gone"]),
    ("a pipe", lambda a: os.mkfifo(a.root / "model_data/tf_tiny/w"), FLAGS, 2,
     ["tf_tiny/w", "expected a file", "a pipe"]),
    ("a name that is not UTF-8", lambda a: put(os.fsdecode(b"model_data/tf_tiny/\xff"))(a), FLAGS, 2,
     [r"tf_tiny/\xff", "not UTF-8"]),
    ("weights larger than the disk", lambda a: os.truncate(a.root / "model_data/tf_tiny/scale.txt", 2**42), FLAGS, 2,
     ["--out-dir: not enough disk space", "4096.1 GiB", "GiB free"]),
    # modules that hide others
    ("a module called as one of the standard library", put("json.py"), FLAGS, 2,
     ["json.py: it hides the module json of the standard library"]),
    ("a package called as an installed one", put("numpy/__init__.py"), FLAGS, 2,
     ["numpy: it hides the installed module numpy"]),
    # what the methods do
    *((f"an os._exit in {name}", with_body(name, "import os; os._exit(0)"), FLAGS, 1, ["forward pass", "exit code 0"])
      for name in BODIES),
    *((f"{name} that hangs", with_body(name, "import threading; threading.Event().wait()"),
       (*FLAGS, "--time-limit", "3"), 1, ["longer than 3 s", "--time-limit"]) for name in (LOAD, FORWARD)),
    *((f"{dtype} for a float32", with_body(FORWARD, f'return {ONE}.astype("{dtype}")'), FLAGS, 1,
       [f"expected float32, got {dtype}"]) for dtype in ("float64", "float16", "int64", "object")),
    *((f"the shape {shape}", with_body(FORWARD, f'return np.ones({shape}, "float32")'), FLAGS, 1,
       [f"wrong shape: expected (-1, 4), got {shape}"]) for shape in ("(4,)", "(2, 4, 1)")),
    ("a model that imports what is beside its package", lambda a: (put("mine.py", "x = 1")(a), with_body(
        FORWARD, f'import mine; return ({ONE} * mine.x).astype("float32")')(a)), FLAGS, 1, ["No module named 'mine'"]),
    ("an _get_input that raises", with_body("_get_input", "return open(uri + '.none')"), FLAGS, 1,
     ["FileNotFoundError", "return open(uri + '.none')"]),
    ("an os._exit at import", lambda a: a.code.write_text(a.code.read_text() + "import os; os._exit(0)"), FLAGS, 1,
     ["save", "exit code 0"]),
    ("a kill", with_body(FORWARD, "import os; os.kill(os.getpid(), 9)"), FLAGS, 1, ["SIGKILL", "run out of memory"]),
    ("more memory than there is", with_body(FORWARD, "import resource; "
     "resource.setrlimit(resource.RLIMIT_AS, (2**33,) * 2); return np.ones((2**34, 4))"),
     FLAGS, 1, ["MemoryError", "Unable to allocate"]),
    ("a None", with_body(FORWARD, "return None"), FLAGS, 1, ["forward pass"]),
    ("no output", with_body(FORWARD, 'return np.ones((0, 4), "float32")'), FLAGS, 1, ["is empty"]),
    ("no width", with_body(FORWARD, 'return np.ones((2, 0), "float32")'), FLAGS, 1, ["wrong shape", "(2, 0)"]),
    ("an infinity", with_body(FORWARD, f'x = {ONE}; x[1, 2] = np.inf; return x.astype("float32")'), FLAGS, 1,
     ["1 of 8 values are NaN or infinite", "[1, 2]"]),
    ("another length than its input", lambda a: (append_spec("ROWS_MATCH = True")(a)), FLAGS, 1,
     ["expected 1 rows, got 2"]),
    ("another directory", with_body(FORWARD, f'import os; os.chdir("/"); return {ONE}.astype("float32")'), FLAGS, 1,
     ["it changed the working directory: got /", "absolute paths"]),
    ("files in the working directory",
     with_body(FORWARD, f'open("log.txt", "w").close(); return {ONE}.astype("float32")'),
     FLAGS, 1, ["it wrote to the working directory: got log.txt"]),
    ("a thread that does not end", with_body(LOAD, "import threading; self.scale = 1.0; "
     "threading.Thread(target=threading.Event().wait).start()"), FLAGS, 1, ["the process does not end"]),
    ("a process that stays", with_body(FORWARD, 'import subprocess; self.kept = subprocess.Popen(["sleep", "600"]); '
     f'return {ONE}.astype("float32")'), FLAGS, 1, ["it left processes behind: sleep"]),
    ("what cannot be pickled", with_init("self.lock = __import__('threading').Lock()"), FLAGS, 1,
     ["cannot pickle", "lock", "--serialization code"]),
    ("an __init__ with an argument", with_init("pass", ", depth"), FLAGS, 2,
     ["TinyMLflowModel: it cannot be made without arguments", "depth"]),
    ("the package's own path in the state", with_init("self.here = __file__"), FLAGS, 2,
     ["python_model.pkl: it would carry a path of this machine", "load_context"]),
    # what MLflow takes for the declared signature, or does not call
    *((f"the type hint {hint}", with_predict(f"context, model_input: {hint}, params=None"), FLAGS, 2,
       ["predict of TinyMLflowModel: the type hint of model_input overrides MODEL_SIGNATURE", hint])
      for hint in ("list[str]", "list[dict[str, str]]")),
    ("a type hint without context", with_predict("model_input: list[str], params=None"), FLAGS, 2,
     ["the type hint of model_input overrides"]),
    ("no predict", replace_code("from . import", "from mlflow.pyfunc import PythonModel as"), FLAGS, 2,
     ["TinyMLflowModel: it has no predict"]),
    # modules
    ("a class beside model_code", lambda a: put("mine.py", a.code.read_text().replace("from .", "from model_code"))(a),
     (*FLAGS, "--model-class", "mine:TinyMLflowModel"), 2, ["mine.py: it does not travel", "in model_code/"]),
    *((f"the model class {name}", lambda a: None, (*FLAGS, "--model-class", name), 2, ["wrong form", name])
      for name in (":Tiny", "..:Tiny", "model_code/tiny.py:Tiny")),
    ("a module without its package's name", lambda a: (put("model_code/mine.py", "")(a), replace_code(
        "import numpy as np\n", "import mine\nimport numpy as np\n")(a)), FLAGS, 1,
     ["No module named 'mine'", "import model_code.mine, or relatively"]),
    ("a module that is not there", replace_code("import numpy as np\n", "import numpy as np\nfrom .none import x\n"),
     FLAGS, 1, ["There is no model_code/none.py"]),
    # entries that MLflow would alter or choke on
    *((f"the MODEL_CONFIG {value}", append_spec(f"MODEL_CONFIG = {value}"), FLAGS, 2,
       ["MODEL_CONFIG: expected what JSON can hold"])
      for value in ("{'a': {1}}", "{'a': float('nan')}", "{1: 2}", "{'a': (1, 2)}", "{'a': np.float32(1)}")),
    *((f"the TOLERANCE {value}", append_spec(f"TOLERANCE = {{'rtol': {value}}}"), FLAGS, 2, ["TOLERANCE: expected"])
      for value in ("float('nan')", "float('inf')", "True")),
    ("a numpy bool", append_spec("ALLOW_NAN = np.bool_(True)"), FLAGS, 2, ["ALLOW_NAN: expected a bool, got a numpy."]),
    ("an entry in small letters", append_spec("model_config = {}; del MODEL_CONFIG"), FLAGS, 2,
     ["model_config: unknown entry: did you mean MODEL_CONFIG?"]),
    ("a check of other arguments", append_spec("def CHECKS(output): pass"), FLAGS, 2,
     ["CHECKS: expected a function of example, params and output, got one of output"]),
    ("a check that returns False", append_spec("def CHECKS(example, params, output): return output.sum() < 0"), FLAGS,
     1, ["CHECKS: it returned a verdict", "False", "raise"]),
    ("an interrupt that the author raises", append_spec("raise KeyboardInterrupt"), FLAGS, 1,
     ["it raised KeyboardInterrupt"]),
    ("a param whose default is of another type", lambda a: None,
     (*FLAGS, "--extra-params-spec-json", '{"n": {"type": "integer", "default": "x"}}'), 2,
     ["--extra-params-spec-json", "'n'"]),
    ("an example of no text", append_spec(f"{FRAME}({{'input_uri': [None]}})"), NO_EXAMPLE, 2,
     ["INPUT_EXAMPLE: expected a path or URI", "None"]),
    ("an example of another dtype", append_spec(
        "from mlflow.types import ColSpec; INPUT_EXAMPLE = {'input_uri': [1]}"), NO_EXAMPLE, 2,
     ["INPUT_EXAMPLE", "expected a string, got 1"]),
    # what lies in itself
    ("a link that leads back", lambda a: (a.root / "model_data/tf_tiny/back").symlink_to("."), FLAGS, 2,
     ["tf_tiny/back: a link to a directory that it lies in itself"]),
    ("a link in the code that leads back", lambda a: (a.root / "model_code/back").symlink_to(".."), FLAGS, 2,
     ["model_code/back: a link to a directory that it lies in itself"]),
    ("an artifact that would hold the model", lambda a: None, (*FLAGS, "--artifact", "all=."), 2,
     ['artifact "all": the MLflow Model would lie in it']),
    # the command line
    *((f"the time limit {limit}", lambda a: None, (*FLAGS, "--time-limit", limit), 2, ["--time-limit"])
      for limit in ("0", "-1", "nan", "inf", "soon")),
    ("an __init__ that raises", with_init("raise RuntimeError('no GPU')"), FLAGS, 1, ["RuntimeError: no GPU"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "flags", "code", "words"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS]
)
def test_packager_refuses_and_the_last_good_model_stands_when_there_is(
    packaged: Author, change: Callable[[Author], object], flags: tuple[str, ...], code: int, words: list[str]
) -> None:
    before = packaged.files()
    change(packaged)
    done = packaged.package(*flags)
    assert done.returncode == code
    assert all(word in done.stderr for word in words), [word for word in words if word not in done.stderr]
    assert "model_side" not in done.stderr
    assert "mlflow_model_artifacts/code/" not in done.stderr
    assert "hunter2" not in done.stderr
    assert packaged.files() == before
    assert not list(packaged.root.glob(".mlflow_model_artifacts*"))


def test_nothing_is_left_beside_the_model_when_the_packager_is_asked_to_end(author: Author) -> None:
    reached = author.root.parent / "reached"
    os.mkfifo(reached)
    text = author.code.read_text().replace(BODIES[FORWARD], f"open({str(reached)!r}, 'w').close(); input_obj.hang()")
    author.code.write_text(text.replace("input_obj.hang()", "__import__('threading').Event().wait()"))
    command = [sys.executable, "mlflow_packager.py", *FLAGS]
    process = subprocess.Popen(command, cwd=author.root, stderr=subprocess.PIPE, text=True)
    reached.read_text()
    assert list(author.root.glob(".mlflow_model_artifacts*"))
    process.terminate()
    assert "interrupted" in process.communicate()[1]
    assert process.returncode == 130
    assert not list(author.root.glob(".mlflow_model_artifacts*"))
