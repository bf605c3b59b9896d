"""A saved plan: every law is read as it was written, and what a person breaks is named."""

import ast
import inspect
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pondera.core import laws
from pondera.core.errors import DomainError, ShapeError
from pondera.model.plan import Plan, plan_of, schemes
from pondera.model.plan.files import Held, held_in, text_of
from pondera.model.plan.row import PlanRow
from pondera.model.plan.spelling import FACTORIES, read_law, spelled
from pondera.model.schemes.base import KINDS
from tests import plan_cases

positive = st.floats(1e-6, 1e6)
counts = st.integers(1, 10**6)
ARGUMENTS = {
    "activation": st.just("relu"),
    "basis_power": st.floats(-2, 2),
    "block": st.sampled_from(["first", "hidden", "last"]),
    "connections": counts,
    "cut": st.floats(0.1, 6),
    "distribution": st.sampled_from(["normal", "truncated_normal", "uniform"]),
    "fan_power": st.floats(-2, 2),
    "form": st.sampled_from(["log", "plain"]),
    "mean": st.just(0.0) | st.floats(-0.5, 0.5),
    "number": st.floats(-1e6, 1e6),
    "part": st.sampled_from(["imaginary", "whole"]),
    "products": st.sampled_from([1, 2, 3]),
    "slope": st.floats(-3, 3),
    "sparsity": st.none() | st.floats(0, 1),
}
FANS = {"he_normal": ["in", "out"], "": ["average", "geometric", "in", "out"]}
BOUNDS = {"high": st.floats(1, 9), "low": st.floats(1e-4, 0.1), "floor": st.floats(0, 0.1)}
PER = {"sparse": ["input", "output"], "unit_rows": ["input", "output", "row"]}


@st.composite
def some_law(draw, names=tuple(sorted(FACTORIES))):  # noqa: B008
    """Any law, by any of its arguments."""
    name = draw(st.sampled_from(names))
    drawn = {}
    for argument, parameter in inspect.signature(FACTORIES[name]).parameters.items():
        if parameter.default is inspect.Parameter.empty or draw(st.booleans()):
            drawn[argument] = draw(numbers_for(name, argument))
    if name == "constant":
        return laws.constant(drawn["number"])
    if name in ("normal", "truncated_normal") and drawn.get("mean"):
        drawn["std"] = 1.0
    return FACTORIES[name](**drawn)


def numbers_for(name, argument):
    if argument == "fan":
        return st.sampled_from(FANS.get(name, FANS[""]))
    if argument == "per":
        return st.sampled_from(PER[name])
    if argument in ("branches", "depth", "groups", "inputs", "intervals", "order", "width"):
        return counts
    return {**BOUNDS, **ARGUMENTS}.get(argument, positive)


@given(some_law())
def test_every_law_is_read_as_it_was_written(law):
    assert read_law(spelled(law)) == law


def test_laws_are_written_as_people_write_them():
    for law, text in (
        (laws.zeros(), "zeros()"),
        (laws.constant(0.5), "constant(0.5)"),
        (laws.normal(std=0.02), "normal(std=0.02)"),
        (laws.he_normal(fan="out"), "he_normal(fan='out')"),
        (laws.mirrored_orthogonal(block="last"), "mirrored_orthogonal(block='last')"),
        (laws.residual_normal(depth=2), "residual_normal(std=0.01)"),
        (None, "keep"),
    ):
        assert spelled(law) == text
        assert ast.parse(text)
    assert read_law("residual_normal(depth=2)") == laws.residual_normal(depth=2)
    assert read_law("ones") == laws.ones()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("normall(std=1)", "plan: unknown law 'normall'; did you mean 'normal'? Known: constant, "),
        (
            "normal(std=",
            "plan: a law is written as name(argument=number); got 'normal(std='. Write it",
        ),
        ("__import__('os')", "plan: unknown law '__import__'; Known: constant, "),
        ("normal(std=open('x'))", "plan: a law is written as name(argument=number); got "),
        ("normal(std=-1)", "normal: "),
        ("normal()", "plan: law 'normal()' does not fit normal; "),
        ("normal(**{})", "plan: a law is written as name(argument=number); got "),
    ],
)
def test_a_law_that_is_none_is_refused(text, told):
    with pytest.raises(DomainError) as raised:
        read_law(text)
    assert told in str(raised.value)


names = st.text(
    st.characters(exclude_characters="#", exclude_categories=["Cs"]), min_size=1, max_size=12
)


@st.composite
def some_row(draw, key):
    """A row of any fields that a plan can have."""
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=0, max_size=4)))
    law = draw(st.none() | some_law(("normal", "constant", "uniform", "zeros")))
    order = tuple(draw(st.permutations(range(len(shape))))) if draw(st.booleans()) else ()
    label = draw(st.sampled_from(["", "query", "key.1"]))
    name = f"{key}.{draw(names)}"
    return PlanRow(
        name,
        shape,
        draw(st.sampled_from(sorted(KINDS))),
        law,
        draw(names),
        label=label,
        offset=tuple(draw(st.integers(0, 3)) if label else 0 for _ in shape),
        stored=tuple(n + 3 for n in shape) if label else shape,
        in_axes=(1,) if len(shape) > 1 else (),
        out_axes=(0,) if len(shape) > 1 else (),
        stack=(1,) * len(shape),
        fan_in=draw(st.none() | counts),
        fan_out=draw(st.none() | counts),
        gain=draw(st.none() | positive),
        decay=draw(st.booleans()),
        rate=draw(st.just(1.0) | positive),
        stream=f"{name}#{label}" if label else name,
        order=order,
        kept=law is None and draw(st.booleans()),
        trained=draw(st.booleans()),
        known=draw(st.just("") | names),
    )


@given(st.data())
def test_a_plan_is_read_as_it_was_written(data):
    rows = tuple(data.draw(some_row(str(k))) for k in range(data.draw(st.integers(0, 4))))
    held = Held("gpt2", "GPT", rows, ("a note",) * bool(rows))
    assert held_in(text_of(held), "a file") == held


@pytest.mark.parametrize("scheme", [name for name in schemes() if name != "mirrored"])
def test_every_schemes_plan_is_read_as_it_was_written(scheme, tmp_path):
    for net in (plan_cases.gpt(), plan_cases.lstm(), plan_cases.mamba(), plan_cases.experts()):
        plan = plan_of(net, scheme)
        plan.save(tmp_path / "plan.toml")
        loaded = Plan.load(tmp_path / "plan.toml")
        assert loaded.rows == plan.rows
        assert (loaded.scheme, loaded.notes) == (plan.scheme, plan.notes)
        assert not plan.diff(loaded)


def test_the_file_reads_well():
    row = plan_of(plan_cases.gpt(width=8), "gpt2")["h.0.mlp.c_proj.weight"]
    assert text_of(Held("gpt2", "GPT", (row,))) == (
        "# A plan of Pondera: a table per parameter, or per block of a packed one (name#block).\n"
        '# Edit law ("keep" leaves a parameter alone), decay, rate, stream and order; std and gain follow.\n'
        "# stream: equal streams give equal numbers; order: axes as another framework stores them, "
        "[1, 0] transposes.\n\n"
        'pondera = 1\nscheme = "gpt2"\nmodel = "GPT"\n\n'
        '[parameters."h.0.mlp.c_proj.weight"]\nrole = "down"\nshape = [8, 32]\n'
        f'law = "normal(std={row.std!r})"\ndecay = true\n'
        'why = "0.02 for every such weight; ÷√6 for the writers to its stream"\n'
        f"std = {row.std!r}\nfan_in = 32\nfan_out = 8\nin_axes = [1]\nout_axes = [0]\n"
        'known = "fed by gelu of the layer before; writer 2 of 6 to its stream"\n'
    )


def test_what_a_person_edits_is_what_counts(tmp_path):
    path = tmp_path / "plan.toml"
    plan_of(plan_cases.gpt(width=8), "olmo2").save(path)
    head, _, tail = path.read_text().partition('[parameters."h.0.mlp.c_proj.weight"]')
    old = "truncated_normal(std=0.02, cut=3.0)"
    path.write_text(
        f'{head}[parameters."h.0.mlp.c_proj.weight"]{tail.replace(old, "he_normal()", 1)}'
    )
    loaded = Plan.load(path)
    assert loaded["h.0.mlp.c_proj.weight"].std == (2 / 32) ** 0.5  # the file still says 0.02


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ("pondera = 1", "pondera = 2"),
            "plan: f must be a plan of version 1; got pondera=2. Save it anew",
        ),
        (("shape = [8, 8]", "shape = [8, "), "plan: f is no TOML; "),
        (
            ('role = "down"', 'role = "dawn"'),
            "f: w needs a role that Pondera knows; got role='dawn'.",
        ),
        (('role = "down"\n', ""), "f: w needs role; got none. Save the plan anew."),
        (("[8, 8]", '"8"'), "f: w needs shape; got shape='8'. Mend that line."),
        (("[8, 8]", "[8, -1]"), "f: w needs shape; got shape=[8, -1]. Mend that line."),
        (("decay = ", "decai = "), "f: w needs a field named one of role, shape, law, "),
        (
            ("he_normal()", "he_norml()"),
            "f: w: plan: unknown law 'he_norml'; did you mean 'he_normal'?",
        ),
        (("he_normal()", "dirac()"), "f: w: laws: dirac needs a convolution's weight, "),
        (
            ("decay = ", "order = [0, 0]\ndecay = "),
            "f: w needs an order that names each axis once; got ",
        ),
    ],
)
def test_a_line_that_no_plan_can_have_is_named(change, told):
    row = PlanRow(
        "w", (8, 8), "down", laws.he_normal(), "", stored=(8, 8), stack=(1, 1), stream="w"
    )
    row = replace(row, in_axes=(1,), out_axes=(0,), offset=(0, 0), fan_in=8, fan_out=8)
    text = text_of(Held("", "", (row,)))
    assert held_in(text, "f").rows == (row,)
    assert change[0] in text
    with pytest.raises((DomainError, ShapeError)) as raised:
        held_in(text.replace(*change), "f")
    assert told in str(raised.value)


def test_two_rows_of_one_stream_are_refused():
    rows = tuple(PlanRow(n, (2,), "bias", laws.zeros(), "", stored=(2,), stream="s") for n in "ab")
    with pytest.raises(
        DomainError, match=r"^plan: each row needs a stream of its own; got stream='s' for a"
    ):
        held_in(text_of(Held("", "", rows)), "f")


def test_a_file_that_is_none_is_named(tmp_path):
    with pytest.raises(DomainError, match=r"^plan: .*absent\.toml cannot be read; No such file"):
        Plan.load(tmp_path / "absent.toml")
    with pytest.raises(DomainError, match=r"^plan: .* cannot be written; No such file"):
        plan_of(plan_cases.gpt()).save(tmp_path / "no" / "plan.toml")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(DomainError, match="cannot be read; it is no text"):
        Plan.load(tmp_path / "bytes")
