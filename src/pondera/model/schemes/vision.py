"""Starts of vision networks: transformers, diffusion transformers, residual networks with and without norm."""

from __future__ import annotations

from math import sqrt

from pondera.core import laws
from pondera.model.schemes.base import BASE, neutral
from pondera.model.schemes.rules import every, fixed, flat, joint_fan_out, over_root, spread, zero
from pondera.model.schemes.ruling import Case, Ruling, Scheme
from pondera.model.schemes.survey import WEIGHTS, Survey
from pondera.model.sites import Site

_MLP = ("down", "gate", "up")


def _jax_bias(case: Case) -> Ruling:
    weight = case.survey.sibling(case.site)
    if weight is not None and weight.role in _MLP:
        return Ruling(laws.normal(std=1e-6), "N(0, 1e-6²): a bias of the feed-forward layers")
    return Ruling(laws.zeros(), "0: a bias")


def _joint_glorot(case: Case) -> Ruling:
    """Glorot as the authors' code has it: a packed weight counts as one matrix."""
    fan_out = joint_fan_out(case)
    if not case.site.packed:
        return Ruling(laws.glorot_uniform(), "√6/√(fan_in + fan_out) on both sides")
    bound = sqrt(6 / (case.fan_in + fan_out))
    return Ruling(laws.uniform(low=-bound, high=bound), f"Glorot over all {fan_out} packed outputs")


def _flattened(case: Case) -> Ruling:
    """A patch embedding as one dense layer: the taps count among the inputs alone."""
    rows, columns = case.matrix
    bound = sqrt(6 / (rows + columns))
    why = f"Glorot of the kernel as a {rows} × {columns} matrix"
    return Ruling(laws.uniform(low=-bound, high=bound), why)


def convolution(case: Case) -> Ruling:
    """He's law by fan_out: the gradient's level, as residual networks have it."""
    if case.site.transposed:
        return Ruling(laws.he_normal(), "√(2/fan_in): a transposed convolution", sqrt(2))
    return Ruling(laws.he_normal(fan="out"), "√(2/fan_out), true fans", sqrt(2))


def last_norm_zero(case: Case) -> Ruling:
    """0 for the last norm of a residual branch behind a convolution, else neutral."""
    if ends_branch(case.survey, case.site):
        return Ruling(laws.zeros(), "0: last norm of its branch, the block begins as the identity")
    return neutral(case)


def ends_branch(survey: Survey, norm: Site) -> bool:
    """Whether a norm's scale is the last thing on a residual branch of convolutions."""
    if survey.shortcut(norm) or norm.neutral == 0:
        return False
    if norm.writer is not None:
        fed = survey.by_name.get(norm.feed.weight)
        return fed is None or fed.role == "convolution"
    return norm.name in survey.kept("last norms", lambda: _last_norms(survey))


def _last_norms(survey: Survey) -> frozenset[str]:
    """The norm that follows, in the model's order, each convolution that writes through a norm."""
    found, sites = set[str](), survey.anatomy.sites
    for place, site in enumerate(sites):
        through = site.writer is not None and site.follow.target == "norm"
        if site.role == "convolution" and through and not survey.shortcut(site):
            nearest = (s.name for s in sites[place + 1 : place + 4] if s.role == "norm scale")
            found |= {name for name in [next(nearest, "")] if name}
    return frozenset(found)


def _branches(survey: Survey) -> int:
    """How many residual branches there are."""
    return len({branch for s in survey.anatomy.sites if (branch := survey.branch(s.name))})


def _fixup(case: Case) -> Ruling:
    branch = case.survey.branch(case.site.name)
    he = sqrt(2 / (case.part.fan_out or case.fan_in))
    if branch is None or case.survey.shortcut(case.site):
        return Ruling(laws.normal(std=he), "√(2/fan_out): on no residual branch", sqrt(2))
    if branch.writer == case.site.name:
        return Ruling(laws.zeros(), "0: last weight of its branch")
    blocks, depth = _branches(case.survey), len(branch.names)
    factor = blocks ** (-1 / (2 * depth - 2))
    why = f"√(2/fan_out)·{blocks}^(−1/{2 * depth - 2}): one of {depth} weights of {blocks} branches"
    return Ruling(laws.normal(std=he * factor), why, sqrt(2))


def _skip_writer(case: Case) -> Ruling:
    if case.writers and not case.site.scaled_by and not case.survey.shortcut(case.site):
        return Ruling(laws.zeros(), "0: last weight of its branch, which has no scale of its own")
    return Ruling(laws.he_normal(), f"He; fed by {case.fed_by()}", sqrt(2))


VIT = Scheme(
    "vit",
    "vision transformers, as timm",
    "timm vision_transformer.py, init_weights_vit_timm",
    {
        **BASE,
        **every(WEIGHTS, flat(0.02)),
        "convolution": fixed(laws.torch_uniform(), "U(±1/√fan_in): PyTorch's, which timm leaves"),
        "token": flat(1e-6),
    },
)
VIT_JAX = Scheme(
    "vit-jax",
    "vision transformers, as the original",
    "Dosovitskiy et al. 2021, vision_transformer (JAX); timm init_weights_vit_jax; q, k, v each by itself",
    {
        **BASE,
        **every(WEIGHTS, fixed(laws.glorot_uniform(), "√6/√(fan_in + fan_out) on both sides")),
        "bias": _jax_bias,
        "convolution": over_root(cut=2.0),
        "head": zero("0: every class is equally likely at the start"),
        "token": zero("0"),
    },
)
DIT = Scheme(
    "dit",
    "diffusion transformers",
    "Peebles & Xie 2023; facebookresearch/DiT models.py, initialize_weights",
    {
        **BASE,
        **every(WEIGHTS, _joint_glorot),
        "convolution": _flattened,
        "head": zero("0: the output begins as nothing"),
    },
    named={
        "*adaln*.weight": zero("0: the block begins as the identity"),
        "*modulation*.weight": zero("0: the block begins as the identity"),
        "*final_layer*.weight": zero("0: the output begins as nothing"),
        "*t_embedder*.weight": flat(0.02),
    },
    notes=("Time embeddings, modulations and the last layer are known by their names.",),
)
RESNET = Scheme(
    "resnet",
    "convolutional networks with batch normalisation",
    "He et al. 2015, eq. 14; Goyal et al. 2017, §5.1 (last norm 0, head 0.01)",
    {
        **BASE,
        **every(WEIGHTS, convolution),
        "head": flat(0.01),
        "norm scale": last_norm_zero,
    },
)
FIXUP = Scheme(
    "fixup",
    "residual networks without normalisation",
    "Zhang, Dauphin & Ma 2019; hongyi-zhang/Fixup fixup_resnet_cifar.py",
    {
        **BASE,
        **every(WEIGHTS, _fixup),
        "head": zero("0: the classification layer"),
        "layer scale": fixed(laws.ones(), "1: the branch's multiplier"),
        "scale": fixed(laws.ones(), "1: the branch's multiplier"),
    },
)
SKIPINIT = Scheme(
    "skipinit",
    "residual networks without normalisation, with a scalar per branch",
    "De & Smith 2020; Bachlechner et al. 2021 (ReZero)",
    {
        **BASE,
        **every(WEIGHTS, _skip_writer),
        "head": fixed(laws.lecun_normal(), "1/√fan_in"),
        "layer scale": zero("0: the block begins as the identity"),
    },
)
CONVNEXT = Scheme(
    "convnext",
    "ConvNeXt",
    "Liu et al. 2022; timm convnext.py, _init_weights and ls_init_value",
    {
        **BASE,
        **every(WEIGHTS, fixed(spread(0.02), "0.02 for every such weight")),
        "layer scale": fixed(laws.constant(1e-6), "1e-6, the paper's layer scale"),
    },
)
SCHEMES = (CONVNEXT, DIT, FIXUP, RESNET, SKIPINIT, VIT, VIT_JAX)
