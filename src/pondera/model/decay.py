"""Which parameters decay, and why: a row each, and the optimizer's param groups made of them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pondera.core.errors import unknown

Kind = Literal[
    "activation",
    "bias",
    "embedding",
    "frozen",
    "norm",
    "scale",
    "state space",
    "token",
    "weight",
]

WHY: Final[Mapping[Kind, str]] = {
    "activation": "a slope of an activation: 0 is not its neutral value",
    "bias": "a bias does not multiply the signal",
    "embedding": "a table: a decay per step shrinks the rows of rare entries most",
    "frozen": "not trained",
    "norm": "a normalisation's own parameter: its neutral value is 1 or 0",
    "scale": "a scale, gate or temperature, or a tensor of one axis",
    "state space": "rates and time steps of a state-space layer: a decay changes its memory",
    "token": "a learned token or position: a row that is added, not multiplied",
    "weight": "a weight that is summed over",
}
_STATE_SPACE: Final = re.compile(
    r"^(A|A_log|A_logs|D|Ds|dt_bias|dt_projs_bias|log_dt|inv_dt|log_A_real|A_imag)$"
)
_TOKENS: Final = re.compile(
    r"(cls|class|mask|dist|register|query|pos|position|rel_pos|relative_position).*"
    r"(token|embed|embedding|embeddings|bias_table|tokens|emb)$|^pos_embed|position_embedding",
)
_SCALES: Final = re.compile(
    r"^(gamma|gammas|beta|scale|scales|alpha|temperature|logit_scale|logit_bias|layer_scale.*|lambda.*"
    r"|gate|skip_scale|weight_g|original0)$"
)


@dataclass(frozen=True)
class DecayRow:
    """One parameter in the audit.

    Args:
        name: the parameter's name; of a tied one, its first.
        shape: its shape.
        kind: what it is.
        decayed: whether it decays.
        why: the reason.
    """

    name: str
    shape: tuple[int, ...]
    kind: Kind
    decayed: bool
    why: str


class DecayGroups(list[dict[str, Any]]):
    """Param groups for an optimizer: those that decay, then those that do not; `rows` is the audit.

    >>> import torch, pondera
    >>> groups = pondera.decay_groups(torch.nn.Linear(4, 2), weight_decay=0.1)
    >>> [(row.name, row.decayed) for row in groups.rows]
    [('weight', True), ('bias', False)]
    >>> optimizer = torch.optim.AdamW(groups, lr=1e-3)
    """

    rows: tuple[DecayRow, ...]

    def __init__(self, groups: Iterable[dict[str, Any]], rows: Sequence[DecayRow]) -> None:
        super().__init__(groups)
        self.rows = tuple(rows)

    def table(self) -> str:
        """The audit as text, a line per parameter."""
        head = ("parameter", "shape", "decays", "kind", "why")
        lines = [head]
        for row in self.rows:
            shape = " × ".join(map(str, row.shape)) or "scalar"
            lines.append((row.name, shape, "yes" if row.decayed else "no", row.kind, row.why))
        widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
        return "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )


def kind_of(leaf: str, shape: tuple[int, ...], owner: Kind | None) -> Kind:
    """What a parameter is, from its own name, its shape and the layer that owns it.

    Args:
        leaf: the last part of its name.
        shape: its shape.
        owner: what the owning layer makes of all its parameters ("norm", "embedding", "activation"), or None.

    Returns:
        The kind.
    """
    if owner is not None:
        return owner
    if _STATE_SPACE.match(leaf):
        return "state space"
    if _TOKENS.search(leaf):
        return "token"
    if "bias" in leaf and len(shape) <= 2 and not leaf.endswith("_table"):
        return "bias"
    if _SCALES.match(leaf) or len(shape) <= 1:
        return "scale"
    return "weight"


def decided(
    name: str,
    shape: tuple[int, ...],
    kind: Kind,
    *,
    embeddings: bool,
    decay: Sequence[str],
    keep: Sequence[str],
    named_by_model: bool,
) -> DecayRow:
    """The row of one parameter: patterns first, then the model's own word, then its kind."""
    if kind == "frozen":
        return DecayRow(name, shape, kind, False, WHY[kind])
    for patterns, decayed in ((keep, False), (decay, True)):
        for pattern in patterns:
            if fnmatch.fnmatchcase(name, pattern):
                option = "decay" if decayed else "keep"
                return DecayRow(name, shape, kind, decayed, f"matches {option}={pattern!r}")
    if named_by_model:
        return DecayRow(name, shape, kind, False, "the model asks for no decay here")
    decayed = kind == "weight" or (kind == "embedding" and embeddings)
    return DecayRow(name, shape, kind, decayed, WHY[kind])


def need_matches(names: Sequence[str], **patterns: Sequence[str]) -> None:
    """Every pattern matches a name.

    Raises:
        DomainError: one matches nothing.
    """
    for option, several in patterns.items():
        for pattern in several:
            if not fnmatch.filter(names, pattern):
                raise unknown("decay_groups", f"{option} pattern", pattern, names)
