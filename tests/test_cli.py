"""The command line: what it takes, what it prints and where, and one line for everything that goes wrong."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

for needed in ("torch", "typer", "rich", "altair", "optuna", "sklearn", "jinja2", "vl_convert"):
    pytest.importorskip(needed, reason=f"{needed} is not installed")

import pondera
from pondera import report
from pondera.cli import app as commands
from tests import study_cases

ROOT = Path(__file__).parents[1]
CASES = "tests.study_cases"
SOUND = ("--model", f"{CASES}:build", "--data", f"{CASES}:arrays")
QUICK = ("--steps", "20", "--runs", "2", "--arms", "default,he", "--rates", "0.01,0.1")
SLOW = ("--model", f"{CASES}:slow", *SOUND[2:], *QUICK, "--workers", "2")
OPTIONS = (
    "--model --data --seed --steps --out --arms --rates --runs --batch-size --optimizer --bounds --workers "
    "--json --debug --help"
).split()


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Runs `pondera …` in this process, in an empty folder: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["pondera", *arguments])
        with pytest.raises(SystemExit) as left:
            commands.run()
        shown = capsys.readouterr()
        return left.value.code, shown.out, shown.err

    return run


def started(*arguments, **options):
    """`python -m pondera …` in a process group of its own, as a terminal starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "pondera", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


# --- help ---


def test_the_options_are_these(command):
    code, out, err = command("study", "--help")
    assert (code, err) == (0, "")
    assert re.findall(r"^  (--[a-z-]+)", out, flags=re.MULTILINE) == OPTIONS
    for arm in ("textbook", "default", "xavier", "he", "orthogonal", "mirrored"):
        assert arm in out


def test_without_a_command_there_is_help(command):
    code, out, err = command()
    assert (code, err) == (0, "")
    assert out.startswith("Usage: pondera [OPTIONS] COMMAND [ARGS]...")
    assert "study" in out


def test_the_module_is_the_command():
    run = subprocess.run(
        [sys.executable, "-m", "pondera", "--version"], capture_output=True, text=True, check=True
    )
    assert (run.stdout, run.stderr) == (f"pondera {pondera.__version__}\n", "")


def test_without_its_packages_the_command_says_how_to_get_them():
    program = (
        "import sys; sys.modules['typer'] = None\n"
        "from pondera.cli import main; sys.argv = ['pondera']; main()"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    said = (
        "error: the command needs typer, which is not installed. Run: pip install 'pondera[cli]'\n"
    )
    assert (run.stdout, run.stderr) == ("", said)


def test_a_package_that_is_missing_is_named_before_the_race(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    said = "pondera study needs vl_convert, which is not installed. Run: pip install 'pondera[study,torch]'"
    assert command("study") == (2, "", f"error: {said}\n")
    assert list(Path().iterdir()) == []


# --- bad input: exit code 2, one line, nothing written ---

TORCH_MODEL = "Return the model itself, not its class or its weights."
BY_HAND = "Call it once by hand, without arguments, and mend what it says."
NOT_DATA = (
    "must return (inputs, targets) as arrays, a data set, a loader, or a pair (train, test) of "
    "those; got"
)
LOGITS = "Widen the last layer, renumber the targets from 0, or pass floats to regress them."
ACCEPT = "must accept the data's batches, forward and backward; got inputs of shape"
MODEL = {  # what --model names → what is said of it
    "raising": f"{{}} raised RuntimeError: no weights here. {BY_HAND}",
    "leaving": f"{{}} raised SystemExit: usage: train.py. {BY_HAND}",
    "with_argument": "{} raised TypeError: with_argument() missing 1 required positional argument: 'width'. "
    + BY_HAND,
    "class_itself": f"{{}} must return a torch.nn.Module; got the class Net. {TORCH_MODEL}",
    "nothing": f"{{}} must return a torch.nn.Module; got NoneType. {TORCH_MODEL}",
    "state": f"{{}} must return a torch.nn.Module; got OrderedDict. {TORCH_MODEL}",
    "same_each_time": "{} must return a new model at each call; got parameters of the model before. Create "
    "every layer inside the function.",
    "unseeded": "{} must return equal models for equal seeds; got two that differ. Draw from the global "
    "generators of PyTorch, NumPy or Python alone.",
    "frozen": "{} must return a model with parameters to train; got none that requires a gradient. Add a "
    "layer, or call requires_grad_(True).",
    "Silent": "{} must return a model with parameters to train; got none that requires a gradient. Add a "
    "layer, or call requires_grad_(True).",
    "Two": "{}: must return one tensor of outputs; got tuple. Wrap the model so that its forward returns "
    "the logits alone.",
    "Named": "{}: must return one tensor of outputs; got dict. Wrap the model so that its forward returns "
    "the logits alone.",
    "TwoWhileTraining": f"{{}} {ACCEPT} (32, 8) and dtype float64, and it raised TypeError: ",
    "Detached": f"{{}} {ACCEPT} (32, 8) and dtype float64, and it raised RuntimeError: element 0 ",
    "two_outputs": f"{{}} must return logits of shape (32, classes), for 3 classes; got (32, 2). {LOGITS}",
    "regressor": f"{{}} must return logits of shape (32, classes), for 3 classes; got (32, 1). {LOGITS}",
    "pixels": f"{{}} {ACCEPT} (32, 8) and dtype float64, and it raised RuntimeError: mat1 and mat2 shapes ",
    "arrays": f"{{}} must return a torch.nn.Module; got tuple. {TORCH_MODEL}",
    "builld": "'{}' does not exist; did you mean 'build'? Name a function of 'tests.study_cases'.",
    "ONE.body.0": "{} raised TypeError: Linear.forward() missing 1 required positional argument: 'input'. "
    + BY_HAND,
}
DATA = {
    "with_nan": "inputs must be finite; 2 of 120 rows hold NaN or infinity, the first at index (7, 2). Drop "
    "or impute them.",
    "with_infinity": "inputs must be finite; 2 of 120 rows hold NaN or infinity, the first at index (7, 2). "
    "Drop or impute them.",
    "target_nan": "targets must be finite; 43 of 120 rows hold NaN or infinity, the first at index (3,). "
    "Drop or impute them.",
    "strings": "targets must be numbers; got dtype=<U3. Encode text and categories as integers first.",
    "objects": "inputs must be numbers; got dtype=object. Encode text and categories as integers first.",
    "negative": "integer targets are class numbers 0, 1, 2, … in one axis; got shape=(120,), smallest -1. "
    "Flatten and renumber them, or pass floats for regression.",
    "one_hot": "integer targets are class numbers 0, 1, 2, … in one axis; got shape=(120, 3), smallest 0. "
    "Flatten and renumber them, or pass floats for regression.",
    "one_class": "targets must differ; got 76 equal ones among the train rows. Check what is to be learned, "
    "or add rows.",
    "constant": "targets must differ; got 76 equal ones among the train rows. Check what is to be learned, "
    "or add rows.",
    "unequal": "inputs and targets need equally many rows; got inputs.shape=(120, 8), targets.shape=(119,). "
    "Pair them row by row.",
    "few": "needs at least 20 rows to train, choose and test; got 19. Add rows.",
    "test_columns": "train and test need the same kind of rows; got inputs (8,) and (5,), targets int64 and "
    "int64. Prepare both alike.",
    "dictionaries": "each item must be a pair (inputs, targets); got dict of 2. Return two tensors per "
    "sample.",
    "ragged": "reading what tests.study_cases:ragged returned raised RuntimeError: stack expects each ",
    "empty": "the loader gave no batch. Return at least one row.",
    "triples": f"tests.study_cases:triples {NOT_DATA} tuple of ndarray, ndarray, NoneType. Return one of "
    "them.",
    "lists": f"tests.study_cases:lists {NOT_DATA} tuple of list, list. Return one of them.",
    "nothing": f"tests.study_cases:nothing {NOT_DATA} NoneType. Return one of them.",
    "raising": f"tests.study_cases:raising raised RuntimeError: no weights here. {BY_HAND}",
}
AGAINST = {  # data that do not suit the sound model
    "whole_floats": "must return as many numbers as the targets hold, (32,); got (32, 3). Change the last "
    "layer, or pass integer targets for classes.",
    "from_one": f"must return logits of shape (32, classes), for 4 classes; got (32, 3). {LOGITS}",
    "huge_label": "must return logits of shape (32, classes), for 2000000000001 classes; got (32, 3). "
    + LOGITS,
    "columns": f"{ACCEPT} (32, 5) and dtype float64, and it raised RuntimeError: mat1 and mat2 shapes ",
}
WRONG = {  # options → what is said
    ("--model", "net"): "--model: needs package.module:function; got 'net'. Write it "
    "like my_package.net:build.",
    ("--model", "no_net:build"): "--model: cannot import 'no_net' from {cwd} (no module named 'no_net'). Run "
    "in the folder that holds it, or install it.",
    ("--model", "os:path"): "--model: 'os:path' must be a function without arguments; got module. Wrap it in "
    "a function.",
    ("--data", "net.py:load"): "--data: cannot import 'net.py' from {cwd} (no module named 'net'). Run in the "
    "folder that holds it, or install it.",
    ("--model", "crooked:build"): "--model: importing 'crooked' raised SyntaxError: invalid syntax "
    "(crooked.py, line 1). Mend the module.",
    ("--model", "quitting:build"): "--model: importing 'quitting' raised SystemExit: 3. Mend the module.",
    ("--rates", "abc"): "--rates: needs numbers separated by commas; got 'abc'. Write --rates 0.001,0.01.",
    ("--rates", "0.1,-1"): "--rates: needs 0 < rate < inf; got -1.0. Pass positive numbers.",
    ("--rates", "nan"): "--rates: needs 0 < rate < inf; got nan. Pass positive numbers.",
    ("--steps", "0"): "--steps: needs an integer from 1 to 100000000; got 0. Pass such a one.",
    ("--runs", "1"): "--runs: needs an integer from 2 to 10000; got 1. Pass such a one.",
    ("--batch-size", "0"): "--batch-size: needs an integer from 1 to 100000000; got 0. Pass such a one.",
    ("--workers", "-1"): "--workers: needs an integer from 0 to 10000; got -1. Pass such a one.",
    ("--seed", "-1"): "--seed: needs 0 <= seed < 2**32 - 10001; got -1. Pass such an integer.",
    ("--optimizer", "adam"): "--optimizer: unknown optimizer 'adam'; did you mean 'adamw'? Known: adamw, sgd.",
    ("--arms", "hee"): "--arms: unknown arm 'hee'; did you mean 'he'? Known: default, he, mirrored, "
    "orthogonal, textbook, xavier.",
    ("--out", "file"): "--out: {cwd}/file is a file. Name a folder.",
    ("--out", "file/below"): "--out: {cwd}/file is a file. Name a folder.",
    ("--out", "/proc/none"): "--out: /proc/none cannot be written; ",
    ("--arms", "mirrored", *SOUND): "--arms: none of the starts fits this model; mirrored: needs one chain of ",
    ("--steps", "many"): "Invalid value for '--steps': ",
    ("--step", "3"): "No such option: --step",
    ("more",): "Got unexpected extra argument",
}  # fmt: skip

FAULTS = {
    **{
        f"model {name}": (("--model", path, *SOUND[2:]), f"--model: {said}".format(path))
        for name, said in MODEL.items()
        for path in [f"{CASES}:{name}"]
    },
    **{
        f"data {name}": ((*SOUND[:2], "--data", f"{CASES}:{name}"), f"--data: {said}")
        for name, said in DATA.items()
    },
    **{
        f"together {name}": ((*SOUND[:2], "--data", f"{CASES}:{name}"), f"--model: {CASES}:build {said}")
        for name, said in AGAINST.items()
    },
    **{" ".join(given[:2]): (given, said) for given, said in WRONG.items()},
}  # fmt: skip


@pytest.mark.parametrize(("given", "said"), FAULTS.values(), ids=FAULTS)
def test_bad_input_is_one_line_and_nothing_is_written(command, given, said):
    files = {"file": "", "crooked.py": "def\n", "quitting.py": "import sys; sys.exit(3)\n"}
    for name, text in files.items():
        Path(name).write_text(text)
    code, out, err = command("study", *given)
    assert (code, out) == (2, "")
    assert err.startswith("error: " + said.replace("{cwd}", os.getcwd()))
    assert err.count("\n") == 1
    assert err.endswith(".\n")
    assert {path.name for path in Path().iterdir()} - {"__pycache__"} == set(files)


def test_debug_shows_the_traceback(command, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pondera", "study", "--steps", "0", "--debug"])
    with pytest.raises(pondera.DomainError, match="--steps: needs an integer"):
        commands.run()


# --- sound input ---


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study by a process of its own, with --json: its output and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    process = started("study", *SLOW, "--out", str(folder / "out"), "--json")
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    return out, folder / "out"


def timeless(text):
    return {key: part for key, part in json.loads(text).items() if key != "times"}


def test_json_is_all_that_is_printed(whole):
    out, folder = whole
    assert json.loads(out) == json.loads((folder / "study.json").read_text(encoding="utf-8"))
    assert out.isascii()  # whatever the console
    assert json.loads(out)["race"].keys() == {"default", "he"}
    names = ["snippet.py", "study.db", "study.html", "study.json"]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_a_finished_study_is_shown_at_once_and_unchanged(whole, command, monkeypatch):
    out, folder = whole
    monkeypatch.chdir(ROOT)
    begun = time.perf_counter()
    code, shown, err = command("study", *SLOW, "--out", str(folder))
    assert (code, err) == (0, "")
    assert time.perf_counter() - begun < json.loads(out)["times"]["seconds"] + 60
    assert timeless((folder / "study.json").read_text(encoding="utf-8")) == timeless(out)
    assert shown.endswith(f"{folder}/study.html, {folder}/study.json, {folder}/snippet.py\n")
    assert json.loads(out)["answer"]["headline"].split(":")[0] in " ".join(shown.split())


def test_what_a_model_prints_is_no_part_of_the_json(whole, command, monkeypatch):
    out, folder = whole

    def talkative():
        print("building")
        return study_cases.Slow()

    monkeypatch.setattr(study_cases, "slow", talkative)
    monkeypatch.chdir(ROOT)
    code, shown, err = command("study", *SLOW, "--out", str(folder), "--json")
    assert (code, set(err.split())) == (0, {"building"})
    assert timeless(shown) == timeless(out)


def test_a_page_that_cannot_be_written_leaves_the_old_files(whole, command, monkeypatch):
    _, folder = whole
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".db"}

    def full(result, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "write_page", full, raising=False)
    monkeypatch.chdir(ROOT)
    code, out, err = command("study", *SLOW, "--out", str(folder))
    assert (code, out) == (2, "")
    assert (
        err
        == f"error: --out: {folder} cannot be written; No space left on device. Name another folder.\n"
    )
    assert {
        path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".db"
    } == before


def children_of(process):
    return psutil.Process(process.pid).children(recursive=True)


def kept(folder):
    """How many runs a study has kept so far."""
    try:
        with sqlite3.connect(f"file:{folder / 'study.db'}?mode=ro", uri=True) as database:
            return database.execute("select count(*) from trial_values").fetchone()[0]
    except sqlite3.OperationalError:  # no file or no table yet
        return 0


def wait_for(condition, *, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_after_ctrl_c_the_same_command_goes_on_and_ends_alike(whole, tmp_path):
    folder = tmp_path / "out"
    process = started("study", *SLOW, "--out", str(folder))
    wait_for(lambda: kept(folder))
    workers = children_of(process)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all of them
    out, err = process.communicate(timeout=120)
    said = f"finished runs are kept in {folder / 'study.db'}; the same command goes on from there."
    assert (process.returncode, out, err) == (130, "", f"stopped: {said}\n")
    assert workers
    assert not psutil.wait_procs(workers, timeout=60)[1]
    assert [path.name for path in folder.iterdir()] == ["study.db"]
    again, _ = started("study", *SLOW, "--out", str(folder), "--json").communicate(timeout=300)
    assert timeless(again) == timeless(whole[0])
    assert json.loads(again)["times"]["resumed"] > 0


def test_ctrl_c_while_the_workers_start_is_one_line_too(tmp_path):
    process = started("study", *SLOW, "--out", str(tmp_path / "out"))
    wait_for(lambda: len(children_of(process)) > 1)
    workers = children_of(process)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (130, "", "stopped: nothing was finished.\n")
    assert not psutil.wait_procs(workers, timeout=60)[1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_workers_end_with_a_command_that_is_killed(tmp_path):
    process = started("study", *SLOW, "--out", str(tmp_path / "out"))
    wait_for(lambda: kept(tmp_path / "out"))
    workers = children_of(process)
    process.kill()
    process.communicate(timeout=60)
    assert workers
    assert not psutil.wait_procs(workers, timeout=60)[1]
