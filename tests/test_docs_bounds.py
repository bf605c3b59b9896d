"""The guide to bounds: its code runs, its tables are the tools', its numbers the experiments'."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("sklearn", reason="scikit-learn is not installed")
pytest.importorskip("altair", reason="altair is not installed")

from pondera.core.errors import DomainError
from pondera.evidence import tables
from pondera.evidence.__main__ import main
from tools import bounds_page

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "bounds.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_every_block_of_code_runs_from_first_to_last(tmp_path, monkeypatch, capsys, one_thread):
    monkeypatch.chdir(tmp_path)
    words = {"__name__": "guide"}
    with torch.random.fork_rng(devices=()):
        for place, block in enumerate(BLOCKS):
            exec(compile(block, f"docs/bounds.md, block {place}", "exec"), words)
    assert "GroupLasso" in capsys.readouterr().out
    assert (tmp_path / "bounds.html").exists()
    assert TEXT.count("```") == 2 * len(BLOCKS)  # all of it is Python, and run


def test_the_tables_that_are_made_are_fresh():
    assert bounds_page.bounds_page() == TEXT, "run: python -m tools.render"


def test_every_measured_table_has_the_head_of_its_experiment():
    marked = re.findall(r"<!-- measured (\w+) -->", TEXT)
    assert sorted(marked) == sorted(tables.BOUNDS)
    for name in marked:
        assert next(tables.TABLES[name]()) == measured(name)[0]


def measured(name):
    return bounds_page.part_of(TEXT, f"measured {name}").splitlines()


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


@pytest.mark.slow
@pytest.mark.parametrize("name", tables.BOUNDS)
def test_measured_numbers_are_those_of_the_page(name, one_thread):
    """Words alike; numbers to a tenth, for other machines round otherwise."""
    found, shown = list(tables.TABLES[name]()), measured(name)
    assert len(found) == len(shown)
    for ours, theirs in zip(found, shown, strict=True):
        for one, other in zip(cells(ours), cells(theirs), strict=True):
            try:
                near = abs(float(one) - float(other)) <= 0.1 * max(abs(float(other)), 0.1)
            except ValueError:
                near = one == other
            assert near, f"{name}: {one} where the page says {other}"


def test_every_test_file_that_is_named_exists():
    for file in re.findall(r"\btest_\w+\.py", TEXT):
        assert (ROOT / "tests" / file).exists(), file


def test_links_within_the_page_lead_somewhere():
    heads = {
        re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-")
        for h in re.findall(r"^#+ (.*)", TEXT, re.M)
    }
    for target in re.findall(r"\]\(#([\w-]+)\)", TEXT):
        assert target in heads


def test_units_of_others_are_as_the_page_says():
    """The left column of the table of units, for what can be asked."""
    import pondera

    def here(source, target, **facts):
        return pondera.convert_strength(0.3, source=source, target=target, **facts)

    assert here("sklearn_lasso", "pondera_l1") == 0.6
    assert here("sklearn_ridge", "pondera_l2", n_samples=3) == pytest.approx(0.1)
    assert here("torch_coupled", "pondera_l2") == 0.15
    assert here("keras_l1", "pondera_l1") == here("keras_l2", "pondera_l2") == 0.3


# --- the experiments as a command ---


def test_tables_are_chosen_by_name():
    assert tables.chosen([]) == tables.PRINTED
    assert tables.chosen(["bounds"]) == tables.BOUNDS
    assert tables.chosen(["descent", "bounds"])[0] == "descent"
    assert len(tables.chosen(["descent", "bounds"])) == len(tables.BOUNDS)
    assert set(tables.PRINTED + tables.BOUNDS) == set(tables.TABLES)
    with pytest.raises(DomainError, match="unknown table 'nois'; did you mean 'noise'"):
        tables.chosen(["nois"])


def test_the_command_prints_a_table_and_refuses_strangers(capsys, monkeypatch):
    monkeypatch.setattr(tables, "TABLES", {})
    assert main(["nois"]) == 2
    assert capsys.readouterr().err.startswith("error: evidence: unknown table 'nois'; Known: ")
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(["descent"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 2 + 8
    risks = np.array([float(cells(line)[2]) for line in out[2:]])
    assert np.all(np.diff(risks) < 0)
