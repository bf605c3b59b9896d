"""`pondera plan`: sources, shapes, what is printed and where, and one line for everything that goes wrong."""

import json
import re
import sys

import pytest

for needed in ("torch", "typer", "rich"):
    pytest.importorskip(needed, reason=f"{needed} is not installed")

import torch
from torch import nn

from pondera.cli import app as commands
from pondera.core.errors import DomainError
from pondera.model.plan import Plan

OPTIONS = "--input --scheme --save --against --execute --json --debug --help".split()
HERE = "tests.test_plan_cli"
SOUND = (f"{HERE}:build", "--input", "4,8")


def build():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(20, 8)
        self.out = nn.Linear(8, 2)

    def forward(self, words, weight):
        return self.out(self.table(words)) * weight


class Idle(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.idle = nn.Linear(8, 2), nn.Linear(3, 3)

    def forward(self, x):
        return self.used(x)


def broken():
    raise RuntimeError("no such file.")


def nothing():
    return None


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Runs `pondera plan …` in this process, in an empty folder: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["pondera", "plan", *arguments])
        with pytest.raises(SystemExit) as left:
            commands.run()
        shown = capsys.readouterr()
        return left.value.code, shown.out, shown.err

    return run


def test_the_options_are_these(command):
    code, out, err = command("--help")
    assert (code, err) == (0, "")
    assert re.findall(r"^  (--[a-z-]+)", out, flags=re.MULTILINE) == OPTIONS


def test_a_plan_is_printed(command):
    code, out, err = command(*SOUND)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "plan of Sequential by signal: 4 parameters, 178 numbers, 89.9 % decay"
    assert any("0.weight" in line and "mirrored_orthogonal first" in line for line in lines)


def test_a_plan_is_printed_as_json_and_nothing_else(command):
    code, out, err = command(*SOUND, "--json", "--scheme", "he")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["model"], told["scheme"]) == ("Sequential", "he")
    first = told["rows"][0]
    assert first["name"] == "0.weight"
    assert (first["law"], first["std"], first["decay"]) == ("he_normal()", 0.5, True)
    assert [row["name"] for row in told["rows"]] == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_a_plan_is_saved_and_compared(command, tmp_path):
    assert command(*SOUND, "--save", "plan.toml")[1].endswith("\nwritten: plan.toml\n")
    assert len(Plan.load(tmp_path / "plan.toml")) == 4
    code, out, _ = command(*SOUND, "--against", "plan.toml")
    assert code == 0
    assert out.endswith("4 rows compared, no difference\n")
    code, out, _ = command(*SOUND, "--against", "he", "--json")
    assert code == 0
    assert {"name": "2.weight", "field": "law", "here": "mirrored_orthogonal(block='last')",
            "there": "he_normal()"} in json.loads(out)["difference"]  # fmt: skip
    code, out, _ = command(*SOUND, "--against", "start")
    assert code == 0
    assert "signal against the model's own start: 4 rows compared, " in out
    assert re.search(r"^0\.bias +std +0 ", out, flags=re.MULTILINE)


def test_inputs_have_names_and_dtypes(command):
    named = ("--input", "words=2,5:int64", "--input", "weight=2,5,1")
    assert command(f"{HERE}:Named", *named)[0] == 0
    assert command(f"{HERE}:Named", "--input", "2,5:int64", "--input", "2,5,1")[0] == 0


def test_a_parameter_without_a_rule_is_told_by_the_exit_code(command):
    code, out, err = command(f"{HERE}:Idle", "--input", "4,8")
    assert (code, err) == (1, "")
    assert "2 without a rule" in out.splitlines()[0]
    assert (
        json.loads(command(f"{HERE}:Idle", "--input", "4,8", "--json")[1])["rows"][2]["law"] is None
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            (f"{HERE}:build",),
            "--input: tests.test_plan_cli:build needs the shape of its input; got none.",
        ),
        (
            (f"{HERE}:bild", "--input", "4,8"),
            "MODEL: 'tests.test_plan_cli:bild' does not exist; did you",
        ),
        (
            (f"{HERE}:broken", "--input", "4,8"),
            "MODEL: tests.test_plan_cli:broken raised RuntimeError: no",
        ),
        (
            (f"{HERE}:nothing", "--input", "4,8"),
            "MODEL: tests.test_plan_cli:nothing must return a torch",
        ),
        (
            (*SOUND[:2], "4,x"),
            "--input: needs [NAME=]N,N,…[:DTYPE]; got '4,x'. Write 8,3,32,32 or input",
        ),
        (
            (*SOUND[:2], ""),
            "plan: the model must accept",
        ),
        ((*SOUND[:2], "=4,8"), "--input: needs [NAME=]N,N,…[:DTYPE]; got '=4,8'."),
        ((*SOUND[:2], "4,8:int9"), "Input: dtype must be one of "),
        (
            (*SOUND[:2], "4,-8"),
            "Input: lengths must be integers ≥ 1; got shape=(4, -8). Pass them one by",
        ),
        (
            (*SOUND, "--input", "x=4,8"),
            "--input: all inputs have a name, or none has; got names x for 2",
        ),
        (
            (*SOUND[:2], "4,9"),
            "plan: the model must accept the example; Sequential raised RuntimeError: ",
        ),
        (
            (*SOUND, "--scheme", "hee"),
            "plan: unknown scheme 'hee'; did you mean 'he'? Known: convnext, ",
        ),
        (
            (*SOUND, "--against", "no"),
            "--against: needs a saved plan, a scheme or start; got 'no'. Schemes",
        ),
        (
            (*SOUND, "--save", "no/p.toml"),
            "plan: no/p.toml cannot be written; No such file or directory.",
        ),
        (
            (*SOUND, "--scheme", "mirrored", "--input", "1"),
            "plan: the model must accept the example; ",
        ),
    ],
)
def test_what_goes_wrong_is_told_in_one_line(command, arguments, told):
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {told}")
    assert err.count("\n") == 1


def test_a_library_that_is_not_installed_is_named(command, monkeypatch):
    for name, path, asker in (
        ("timm", "timm:resnet18", "timm:NAME"),
        ("transformers", "hf:gpt2", "hf:TYPE"),
    ):
        monkeypatch.setitem(sys.modules, name, None)
        code, out, err = command(path)
        assert (code, out) == (2, "")
        assert (
            err
            == f"error: {asker}: needs {name}, which is not installed. Run: pip install {name}\n"
        )


def test_a_timm_name_is_built_without_memory(command, monkeypatch):
    """With a stand-in for timm: its names, its default input, and nothing on the CPU."""
    places = []

    class Stand:
        @staticmethod
        def list_models():
            return ["small", "large"]

        @staticmethod
        def create_model(name, pretrained):
            model = nn.Conv2d(3, 4, 3)
            model.default_cfg = {"input_size": (3, 8, 8)}
            places.append(model.weight.device.type)
            return model

    monkeypatch.setitem(sys.modules, "timm", Stand)
    code, out, err = command("timm:small")
    assert (code, err, places) == (0, "", ["meta"])
    assert out.startswith("plan of Conv2d by signal: 2 parameters")
    assert command("timm:small", "--against", "start")[0] == 0
    assert places == ["meta", "cpu"]
    err = command("timm:smal")[2]
    assert (
        err
        == "error: MODEL: unknown timm model 'smal'; did you mean 'small'? Known: large, small.\n"
    )


def test_the_traceback_is_shown_on_request(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pondera", "plan", *SOUND, "--scheme", "x", "--debug"])
    with pytest.raises(DomainError, match=r"^plan: unknown scheme 'x'"):
        commands.run()


def test_the_model_is_not_drawn(command, monkeypatch):
    one = nn.Linear(8, 2)
    torch.nn.init.ones_(one.weight)
    monkeypatch.setattr(f"{HERE}.build", lambda: one)
    assert command(*SOUND)[0] == 0
    assert bool((one.weight == 1).all())
