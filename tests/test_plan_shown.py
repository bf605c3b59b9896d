"""The plan in the terminal and in a notebook: readable for a thousand parameters."""

import sys

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from pondera.model.plan.grouping import braced, pattern_of
from pondera.model.sites import Anatomy
from tests.plan_cases import gpt, site
from tests.test_plan import planned


def test_the_plan_is_shown_in_a_line_per_kind_of_row(monkeypatch):
    plan = planned(gpt(blocks=40, width=8))
    monkeypatch.setenv("COLUMNS", "150")
    shown = str(plan)
    assert len(plan) > 400
    assert len(shown.splitlines()) < 60
    assert "h.{0..39}.attn.c_attn.weight#{" in shown
    assert "× 120" in shown
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, str(plan).splitlines()[1:])) <= 80
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.box", None)
    plain = str(plan)
    assert (
        "h.{0..39}.attn.c_attn.weight#{query,key,value}  × 120  query, key, value  8 × 8" in plain
    )
    assert repr(plan) == "<Plan of Holder: 404 rows by 'signal'>"


def test_a_notebook_shows_a_table_in_which_nothing_is_executed():
    net = Anatomy((site("w", "dense", (4, 4)),), False, 1, 0, answered=("<script>",))
    page = planned(net)._repr_html_()
    assert page.startswith("<p>plan of Holder by signal")
    assert page.count("<tr>") == 2
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_row_is_explained():
    told = planned(gpt(blocks=1, width=8), "gpt2").explain("h.0.mlp.c_proj")
    assert told.splitlines()[0] == "h.0.mlp.c_proj.weight"
    for line in (
        "role    down: fed by gelu of the layer before; writer 2 of 2 to its stream",
        "shape   8 × 32, 256 numbers",
        "fans    32 in, 8 out",
        "std     0.0141421",
        "why     0.02 for every such weight; ÷√2 for the writers to its stream",
        "decays  yes",
    ):
        assert line in told


def test_names_that_differ_by_numbers_are_one():
    for names, told in (
        (["a.0.b", "a.1.b", "a.2.b"], "a.{0..2}.b"),
        (["a.0.b", "a.1.b"], "a.{0,1}.b"),
        (["ln1", "ln2", "ln4"], "ln{1,2,4}"),
        ([f"a.{k}" for k in range(0, 20, 2)], "a.{0..18: 10}"),
        (["a.0.c1", "a.0.c2", "a.1.c1", "a.1.c2"], "a.{0,1}.c{1,2}"),
        (["alone.7"], "alone.7"),
    ):
        assert braced(names) == told
        assert len({pattern_of(name) for name in names}) == 1
