"""What a handle reports: numbers against hand-made ones, and the table, data, picture and page of them."""

import json
import math
import re
import sys
from io import StringIO

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("altair", reason="altair is not installed")

import rich
from rich.console import Console

import pondera
from pondera.core import penalties as pn
from pondera.core.errors import MissingFramework
from pondera.report import figures, standing, standing_chart, standing_page
from pondera.report.theme import DARK, LIGHT, css_variables
from tests.bounds_cases import CASES, Weights

vl_convert = pytest.importorskip("vl_convert", reason="vl-convert is not installed")
LONG = "encoder.blocks.attention.self.{}.projection.of.the.last.block"


class Deep(torch.nn.Module):
    """Parameters under long names, whose shortened forms would be the same."""

    def __init__(self):
        super().__init__()
        for k in range(2):
            inner = self
            for part in LONG.format(k).split(".")[:-1]:
                if not hasattr(inner, part):
                    setattr(inner, part, torch.nn.Module())
                inner = getattr(inner, part)
            inner.block = torch.nn.Parameter(torch.ones(2, 2))


def reported(bounds, *, name="Adam", steps=3, per_epoch=None, **tensors):
    """A report on pulled weights."""
    model = Weights(**tensors)
    optimizer = CASES[name].make(list(model.parameters()), lr=0.01)
    handle = pondera.torch.regularize(optimizer, bounds, model=model)
    for _ in range(steps):
        for p in model.parameters():
            p.grad = p.detach() - 1
        optimizer.step()
    return handle.report(steps_per_epoch=per_epoch)


@pytest.fixture(scope="module")
def report():
    """One of everything: a penalty, groups, a decay, a constraint, a bound on the size."""
    torch.manual_seed(0)
    shapes = {"lasso": (4, 6), "rows": (4, 6), "decayed": (5, 5), "ball": (3, 3), "size": (4, 4)}
    bounds = {
        "lasso": pn.L1(2.0),
        "rows": pn.GroupLasso(0.01, pn.Groups.rows()),
        "decayed": pn.WeightDecay(0.5),
        "ball": pn.MaxNorm(1.0),
        "size": pn.CPR(0.01),
    }
    tensors = {name: 0.01 * torch.randn(shape) for name, shape in shapes.items()}
    return reported(bounds, per_epoch=4, **tensors)


def test_a_decay_is_told_by_its_timescale_and_its_size_at_rest(report):
    row = next(row for row in report.rows if row.name == "decayed")
    assert row.timescale_steps == pytest.approx(1 / (0.01 * 0.5))
    assert row.timescale_epochs == pytest.approx(1 / (0.01 * 0.5) / 4)
    assert row.equilibrium == pytest.approx(math.sqrt(0.01 / (2 * 0.5)))
    assert row.strength == 0.5


def test_a_decay_apart_from_the_learning_rate_has_a_timescale_of_its_own():
    rate = pn.WeightDecay(0.5, times_lr=False)
    (row,) = reported({"w": rate}, w=torch.ones(3)).rows
    assert (row.timescale_steps, row.timescale_epochs, row.equilibrium) == (2.0, None, None)
    (row,) = reported({"w": pn.WeightDecay(0.0)}, w=torch.ones(3)).rows
    assert (row.timescale_steps, row.equilibrium) == (None, None)


def test_zeros_and_groups_are_counted_on_the_weights():
    w = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [2.0, -1.0, 0.0]])
    rows = pn.GroupLasso(0.0, pn.Groups.rows())
    (row,) = reported({"w": rows}, steps=0, w=w).rows
    assert (row.zeros, row.size, row.groups_left, row.groups) == (6, 9, 2, 3)
    assert row.rms == pytest.approx(math.sqrt(6 / 9))
    (row,) = reported({"w": pn.L1(0.0)}, steps=0, w=w).rows
    assert (row.groups_left, row.groups) == (None, None)


@pytest.mark.parametrize("name", ["SGD momentum .9", "Adam", "Lion", "LBFGS"])
def test_the_way_and_the_reason_are_said(name):
    (row,) = reported({"w": pn.L1(0.1)}, name=name, steps=0, w=torch.ones(2, 2)).rows
    kind = type(CASES[name].make([torch.nn.Parameter(torch.ones(2, 2))], lr=0.1)).__name__
    assert row.way == {"Lion": "orthant", "LBFGS": "newton"}.get(name, "metric")
    assert kind in row.why
    assert f"{row.way}: {row.why}" in standing_page({"rows": [vars(row)], "steps": 0})


def test_a_table_shows_those_columns_that_say_something(report):
    head, *lines = str(report).splitlines()
    assert re.split(r"  +", head) == [
        *("parameter", "bound", "way", "λ", "realised", "zeros"),
        *("groups", "τ steps", "τ epochs", "RMS", "RMS at rest"),
    ]
    assert len(lines) == 5
    assert re.split(r"  +", lines[2])[:4] == ["decayed", "WeightDecay", "decay", "0.5"]
    assert "τ" not in str(reported({"w": pn.L1(0.1)}, w=torch.ones(3)))
    assert [len(line) <= len(max(lines, key=len)) for line in lines] == [True] * 5


def test_the_data_can_be_held_by_json(report):
    again = json.loads(json.dumps(report.plain(), allow_nan=False))
    assert again["steps"] == 3
    assert [row["name"] for row in again["rows"]] == ["lasso", "rows", "decayed", "ball", "size"]
    assert again["rows"][0]["bound"] == "L1(strength=2.0)"


def test_numbers_that_are_not_finite_are_none_in_the_data():
    broken = reported({"w": pn.L1(0.1)}, w=torch.full((3,), math.nan))
    assert json.loads(json.dumps(broken.plain(), allow_nan=False))["rows"][0]["rms"] is None
    assert "nan" in str(broken)
    assert "NaN" not in standing_page(broken.plain())


# --- the picture and the page ---


def svg(chart):
    return vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=figures.vega_lite_version())


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_picture_shows_each_parameter_with_its_numbers(report, theme):
    drawn = svg(report.chart(theme=theme))
    for row in report.rows:
        assert f">{row.name}<" in drawn
        assert f">{row.zeros:,} of {row.size:,}<" in drawn
    for title in ("exactly 0", "groups that are left", "λ realised / asked", "RMS / equilibrium"):
        assert title in drawn
    assert "5 parameters in bounds after 3 steps" in drawn
    assert "NaN" not in drawn


def test_panels_without_numbers_are_left_out():
    drawn = svg(reported({"w": pn.MaxNorm(1.0)}, w=torch.ones(2, 2)).chart())
    assert "exactly 0" in drawn
    for title in ("groups that are left", "λ realised", "equilibrium"):
        assert title not in drawn


def test_long_names_keep_their_own_lanes():
    model = Deep()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    handle = pondera.torch.regularize(optimizer, {"*": pn.L1(0.1)}, model=model)
    found = handle.report().plain()
    drawn = svg(standing_chart(found))
    first, second = standing.lane_labels(found)
    assert first == second  # shortened alike, and still two
    assert drawn.count(f">{first}<") == 2
    assert [row["lane"] for row in standing.share_rows(found)] == [0, 1]


def test_a_ratio_beyond_the_edge_is_drawn_at_it_and_said():
    rows = [
        {"name": name, "bound": "L1", "realised": realised, "strength": 0.1}
        for name, realised in (("low", -0.2), ("right", 0.1), ("high", 5.0), ("none", None))
    ]
    found = standing.ratio_rows({"rows": rows, "steps": 1}, "realised", "strength")
    assert [(row["lane"], row["at"], row["edge"]) for row in found] == [
        (0, 0.0, "under"),
        (1, 1.0, "within"),
        (2, 2.0, "over"),
    ]
    assert found[2]["said"] == "5 / 0.1"


def test_the_summary_names_what_is_gone_and_what_is_far_from_asked(report):
    assert standing.summary(report.plain())[:2] == [
        "24 of 98 bounded weights are exactly 0 (24.5%).",
        "Nothing is left of lasso.",
    ]
    far = reported({"w": pn.L1(0.1)}, w=torch.tensor([3.0, 3.0, 3.0]), steps=1)
    assert "Farthest from the λ asked for is w, at −20 times it." in standing.summary(far.plain())


def test_the_page_is_one_file_that_fetches_nothing(report, tmp_path):
    path = report.to_html(tmp_path / "bounds.html")
    text = path.read_text(encoding="utf-8")
    assert "<script" not in text
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:|//)", text)
    assert "default-src &#39;none&#39;" in text
    for row in report.rows:
        assert f'<th scope="row">{row.name}</th>' in text
    drawn = text[text.index("<svg") : text.index("</svg>")]
    colours = set(re.findall(r'(?:fill|stroke)="([^"]+)"', drawn)) - {"none", "transparent"}
    assert all(colour.startswith("var(--") for colour in colours)  # so that dark and light both fit
    assert {colour[4:-1] for colour in colours} <= set(css_variables(DARK))


def test_names_are_not_read_as_markup(tmp_path):
    rows = reported({"w": pn.L1(0.1)}, w=torch.ones(3)).plain()
    rows["rows"][0]["name"] = "<b>[red]w"
    page = standing_page(rows)
    assert "<b>" not in page
    console = Console(file=StringIO(), width=80)
    console.print(pondera.report.standing_table(rows))
    assert "<b>[red]w" in console.file.getvalue()


def test_a_page_that_cannot_be_written_leaves_the_old_one(report, tmp_path, monkeypatch):
    path = tmp_path / "bounds.html"
    path.write_text("old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        report.to_html(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_terminal_shows_every_column_in_eighty(report, monkeypatch):
    console = Console(file=StringIO(), width=80, legacy_windows=False)
    monkeypatch.setattr(rich, "_console", console)
    rich.print(report)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    heading = next(line for line in text.splitlines() if "realised" in line).split()
    assert heading == ["parameter", "bound", "λ", "realised", "zeros", "groups", "epochs", "RMS",
                       "at", "rest"]  # fmt: skip
    assert "…" not in text


def test_an_empty_report_is_a_page_too():
    assert "0 parameters in bounds" in standing_page({"rows": [], "steps": 0})


def test_pictures_are_not_needed_to_train(monkeypatch):
    """Without altair all else works, and the picture says what to install."""
    report = reported({"w": pn.L1(0.1)}, w=torch.ones(3))
    monkeypatch.setitem(sys.modules, "altair", None)
    monkeypatch.delitem(sys.modules, "pondera.report.standing_charts", raising=False)
    assert "L1" in str(report)
    with pytest.raises(MissingFramework) as fault:
        report.chart()
    assert str(fault.value) == (
        "pondera.report needs altair, which is not installed. Run: pip install 'pondera[study]'"
    )
