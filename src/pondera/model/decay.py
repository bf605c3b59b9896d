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
    "scale": "a scale, gate or temperature: no sum runs over it",
    "state space": "rates and time steps of a state-space layer: a decay changes its memory",
    "token": "a learned token or position: an input, not a weight on one",
    "weight": "a weight that is summed over",
}
_STATE_SPACE: Final = re.compile(
    r"^(A|A_log|A_logs|D|Ds|dt_bias|dt_projs_bias|log_dt|inv_dt|log_A_real|A_imag)$"
)
_TOKENS: Final = re.compile(
    r"(cls|class|mask|dist|register|query|pos|position|rel_pos|relative_position).*"
    r"(token|embed|embedding|embeddings|bias_table|tokens|emb)$|^pos_embed|position_embedding"
    r"|^(latents?|prompts?|queries|registers|slots)$",
)
_BIASES: Final = re.compile(r"(^|_)bias(es)?(_|\d|$)")
_SCALES: Final = re.compile(
    r"^(gamma|gammas|beta|scale|scales|alpha|temperature|logit_scale|logit_bias|layer_scale.*|lambda.*"
    r"|gate|skip_scale|weight_g)$"
)
_DENSE: Final = re.compile("weight|original")  # though it have but one axis longer than 1
_LENGTHS: Final = "original0"  # of a weight-normed layer; others keep matrices there


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
        lines: list[tuple[str, ...]] = [head]
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
    if _BIASES.search(leaf):
        return "bias"
    return "scale" if _is_scale(leaf, shape) else "weight"


def _is_scale(leaf: str, shape: tuple[int, ...]) -> bool:
    """By its name; or it has one axis, others being there for broadcasting alone."""
    if _SCALES.match(leaf) or len(shape) <= 1:
        return True
    long = sum(size > 1 for size in shape)
    spread = leaf == _LENGTHS or (len(shape) >= 3 and not _DENSE.search(leaf))
    return long <= 1 and spread  # (n, 1) may be a dense layer's, and a convolution's is a "weight"


def decided(
    name: str,
    shape: tuple[int, ...],
    kind: Kind,
    *,
    embeddings: bool,
    decay: Sequence[str] | str,
    keep: Sequence[str] | str,
    named_by_model: bool,
    also: Sequence[str] = (),
) -> DecayRow:
    """The row of one parameter: patterns first, then the model's own word, then its kind.

    Args:
        name: the one shown.
        shape: its shape.
        kind: what it is.
        embeddings: whether embedding tables decay.
        decay: patterns that decay.
        keep: patterns that do not; they win.
        named_by_model: whether the model asks for no decay.
        also: its other names, for patterns.

    Returns:
        The row.
    """
    if kind == "frozen":
        return DecayRow(name, shape, kind, False, WHY[kind])
    for patterns, decayed in ((keep, False), (decay, True)):
        for pattern in several(patterns):
            if any(fnmatch.fnmatchcase(known, pattern) for known in (name, *also)):
                option = "decay" if decayed else "keep"
                return DecayRow(name, shape, kind, decayed, f"matches {option}={pattern!r}")
    if named_by_model:
        return DecayRow(name, shape, kind, False, "the model asks for no decay here")
    decayed = kind == "weight" or (kind == "embedding" and embeddings)
    return DecayRow(name, shape, kind, decayed, WHY[kind])


def several(patterns: Sequence[str] | str) -> Sequence[str]:
    """Patterns as a sequence; one alone is one, not its letters."""
    return (patterns,) if isinstance(patterns, str) else patterns


def need_matches(names: Sequence[str], **patterns: Sequence[str] | str) -> None:
    """Every pattern matches a name.

    Raises:
        DomainError: one matches nothing.
    """
    for option, given in patterns.items():
        for pattern in several(given):
            if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
                raise unknown("decay_groups", f"{option} pattern", pattern, names)
