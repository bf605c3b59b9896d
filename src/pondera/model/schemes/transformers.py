"""Starts of transformer language models, as their papers and code have them."""

from __future__ import annotations

from math import sqrt

from pondera.core import laws
from pondera.model.schemes.base import BASE
from pondera.model.schemes.rules import every, fixed, flat, over_root, spread, writes, written, zero
from pondera.model.schemes.ruling import Case, Ruling, Scheme
from pondera.model.schemes.survey import WEIGHTS

_TRUNCATED = 3.0  # σ


def _depth_scaled(case: Case) -> Ruling:
    """0.02, and for writers ÷ √(2(l + 1)), l the block's place."""
    writer = case.site.writer
    if writer is None or not writes(case):
        return Ruling(spread(0.02, cut=_TRUNCATED), "0.02, tails beyond ±3σ redrawn")
    block = writer.place // writer.blocks
    std = 0.02 / sqrt(2 * (block + 1))
    return Ruling(spread(std, cut=_TRUNCATED), f"0.02/√(2·{block + 1}): writer of block {block}")


def _root_width(case: Case) -> Ruling:
    std = 1 / sqrt(case.fan_in)
    return Ruling(spread(std, cut=_TRUNCATED), f"1/√{case.fan_in}, tails beyond ±3σ redrawn")


def width_of(case: Case) -> int:
    """Width of the model: of its embedding, or of what its head reads."""
    table = case.survey.first("embedding")
    if table is not None:
        return table.shape[-1]
    head = case.survey.first("head")
    return (head.parts[0].fan_in if head else None) or case.fan_in


def _small(case: Case) -> Ruling:
    width = width_of(case)
    return Ruling(laws.small_normal(width=width), f"√(2/(5·{width})) for every such weight")


def _wang(case: Case) -> Ruling:
    writer = case.site.writer
    if writer is None or not writes(case):
        return _small(case)
    width, blocks = width_of(case), max(1, writer.count // writer.blocks)
    return Ruling(laws.wang_normal(width=width, depth=blocks), f"2/({blocks}·√{width})")


def _nanochat_up(case: Case) -> Ruling:
    bound = 0.4 * sqrt(3 / case.fan_in)
    return Ruling(laws.uniform(low=-bound, high=bound), "0.4·√3/√fan_in on both sides")


def _root_table(case: Case) -> Ruling:
    width = case.site.shape[-1]
    return Ruling(laws.normal(std=1 / sqrt(width)), f"1/√{width}")


_GPT2 = {
    **BASE,
    **every(WEIGHTS, written(flat(0.02))),
    "embedding": flat(0.02),
    "position": flat(0.02),
}
GPT2 = Scheme(
    "gpt2",
    "decoder language models: 0.02, writers to the stream ÷ √(number of writers)",
    "Radford et al. 2019, §2.3; decay as nanoGPT's configure_optimizers",
    _GPT2,
    decays={"embedding": True, "position": True},
)
MEGATRON = Scheme(
    "megatron",
    "as gpt2, embeddings not decayed",
    "Megatron-LM, init_method_normal and scaled_init_method_normal",
    _GPT2,
)
LLAMA_DEPTH = Scheme(
    "llama-depth",
    "decoder language models: writers ÷ √(2(l + 1)), l their block",
    "torchtitan llama3; OLMo-core InitMethod.llama_depth, which also divide the up weight: not here",
    {
        **BASE,
        **every(WEIGHTS, _depth_scaled),
        "embedding": fixed(laws.normal(std=1.0), "N(0, 1)"),
        "head": _root_width,
    },
)
OLMO2 = Scheme(
    "olmo2",
    "decoder language models: one std for all",
    "OLMo 2, 2024, §3.2; OLMo-core InitMethod.normal",
    {
        **BASE,
        **every(WEIGHTS, flat(0.02, cut=_TRUNCATED)),
        "embedding": flat(0.02, cut=_TRUNCATED),
    },
    decays={"embedding": False},
)
FAN_IN = Scheme(
    "fan-in",
    "decoder language models: 1/√fan_in, no factor for depth",
    "OLMo-core InitMethod.fan_in",
    {
        **BASE,
        **every(WEIGHTS, over_root(cut=_TRUNCATED)),
        "embedding": fixed(laws.normal(std=1.0), "N(0, 1)"),
        "head": _root_width,
    },
)
NEOX = Scheme(
    "neox",
    "GPT-NeoX: small_init, and wang_init for the writers",
    "EleutherAI/gpt-neox init_functions.py; Nguyen & Salazar 2019, §2.2",
    {**BASE, **every(WEIGHTS, _wang), "embedding": _small, "position": _small},
)
NGPT = Scheme(
    "ngpt",
    "1/√width everywhere, writers ÷ √(number of writers); for rows that stay normalised",
    "Loshchilov et al. 2024, nGPT; OLMo-core InitMethod.normalized",
    {
        **BASE,
        **every(WEIGHTS, written(over_root(cut=_TRUNCATED))),
        "embedding": _root_table,
        "head": _root_width,
    },
    notes=("nGPT normalises rows after each step; the weights alone do not.",),
)
NANOCHAT = Scheme(
    "nanochat",
    "decoder language models trained with Muon: writers begin at 0",
    "karpathy/nanochat gpt.py init_weights",
    {
        **BASE,
        **every(WEIGHTS, fixed(laws.lecun_uniform(), "√3/√fan_in on both sides")),
        "attention out": zero("0: the branch begins as nothing"),
        "down": zero("0: the branch begins as nothing"),
        "up": _nanochat_up,
        "embedding": fixed(laws.normal(std=0.8), "N(0, 0.8²)"),
        "head": fixed(laws.normal(std=0.001), "N(0, 0.001²)"),
    },
)
SCHEMES = (FAN_IN, GPT2, LLAMA_DEPTH, MEGATRON, NANOCHAT, NEOX, NGPT, OLMO2)
