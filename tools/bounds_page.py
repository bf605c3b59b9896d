"""Fills the marked tables of docs/bounds.md; `python -m tools.bounds_page` also measures what is measured."""

from __future__ import annotations

import inspect
import re
import warnings
from importlib.util import find_spec
from typing import Any

from pondera.core import penalties
from tools.render import ROOT, sections

PAGE = ROOT / "docs" / "bounds.md"
KINDS = (
    *("L1", "L2", "ElasticNet", "GroupLasso", "SparseGroupLasso", "MCP", "SCAD", "L0", "LHalf"),
    *("Nuclear", "NonNegative", "Box", "MaxNorm", "Distance", "WeightDecay", "CPR"),
)
SOLVED = ("Adam", "Lion", "LBFGS")  # one optimizer of each way


def bounds_page() -> str:
    """The whole of docs/bounds.md; without PyTorch the tables that need it are left as they are."""
    parts = {"penalties": penalties_table()}
    if find_spec("torch") and find_spec("sklearn"):
        parts |= {"ways": ways_table(), "optimizers": optimizers_table()}
    return filled(PAGE.read_text(encoding="utf-8"), parts)


def filled(text: str, parts: dict[str, str]) -> str:
    """The text with its marked parts made anew."""
    for name, part in parts.items():
        pattern = rf"<!-- {name} -->\n.*?<!-- /{name} -->"
        whole = f"<!-- {name} -->\n{part}\n<!-- /{name} -->"
        text, count = re.subn(pattern, lambda _, made=whole: made, text, flags=re.S)
        if count != 1:
            raise AssertionError(f"docs/bounds.md needs one part marked {name!r}; found {count}")
    return text


def part_of(text: str, name: str) -> str:
    """What stands between a part's marks."""
    return text.split(f"<!-- {name} -->\n")[1].split(f"\n<!-- /{name} -->")[0]


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Rows as a Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in r) + " |" for r in lines
    )


def penalties_table() -> str:
    """Each penalty with its law, what it does and its source, from its docstring."""
    rows = []
    for name in KINDS:
        parts = sections(inspect.getdoc(getattr(penalties, name)) or "")
        told = " ".join(parts[""].split("\n\n")[0].split())
        source = re.split(r"; |\. Differs", " ".join(parts["Source"].split()))[0].rstrip(".")
        rows.append((f"`{name}`", told, f"`{' '.join(parts['Law'].split())}`", source))
    return table(("penalty", "what it is", "law", "source"), rows)


def ways_table() -> str:
    """How each bound is kept under an optimizer of each kind, asked of `regularize` itself."""
    rows = [(f"`{name}`", *(_way(name, optimizer) for optimizer in SOLVED)) for name in KINDS]
    heads = ("SGD, Adam and their kin", "Muon, Lion, Adafactor, any other", "LBFGS")
    return table(("bound", *heads), rows)


def _way(name: str, optimizer: str) -> str:
    import torch

    from pondera.core.errors import DomainError
    from pondera.torch import regularize
    from tests.bounds_cases import CASES, Weights

    model = Weights(w=torch.ones(2, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            bounds = {"w": example(name)}
            handle = regularize(
                CASES[optimizer].optimizer(list(model.parameters())), bounds, model=model
            )
        except DomainError:
            return "refused"
    return handle.report().rows[0].way


def example(name: str) -> Any:
    """A bound of each kind, for a matrix of 2 × 3."""
    import torch

    groups = penalties.Groups.rows()
    given: dict[str, tuple[Any, ...]] = {
        "ElasticNet": (0.1, 0.1),
        "MCP": (0.1, 3.0),
        "GroupLasso": (0.1, groups),
        "SparseGroupLasso": (0.1, 0.1, groups),
        "NonNegative": (),
        "Box": (-1.0, 1.0),
        "Distance": (penalties.L1(0.1), torch.zeros(2, 3)),
    }
    return getattr(penalties, name)(*given.get(name, (0.1,)))


def optimizers_table() -> str:
    """Optimizers with the numbers at which each solves the lasso, from the cases that the tests run."""
    from tests.bounds_cases import CASES

    rows = [
        (name, case.way, f"{case.lr:g}", case.course, f"{case.steps:,}")
        for name, case in CASES.items()
    ]
    return table(("optimizer", "way", "learning rate", "schedule", "steps"), rows)


def main() -> None:
    """Measure, and write the page."""
    from pondera.evidence.tables import BOUNDS, TABLES

    measured = {f"measured {name}": "\n".join(TABLES[name]()) for name in BOUNDS}
    text = filled(bounds_page(), measured)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
