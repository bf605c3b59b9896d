"""Which parameters decay: layers of every kind, the user's and the model's own word, and the audit of it."""

import copy
import pickle

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn

import pondera
from pondera.core.errors import DomainError
from pondera.model.decay import WHY, kind_of

parametrizations = nn.utils.parametrizations


class Holder(nn.Module):
    """Parameters of a shape each, under their names."""

    def __init__(self, **shapes):
        super().__init__()
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.ones(shape)))


class HouseRMSNorm(Holder):
    """A normalisation that PyTorch does not know."""


class LayerNorm2d(Holder):
    """Another, with a size in its name."""


def audit(model, **options):
    """Name → (kind, decayed)."""
    groups = pondera.decay_groups(model, weight_decay=0.1, **options)
    return {row.name: (row.kind, row.decayed) for row in groups.rows}


WEIGHT, BIAS = ("weight", True), ("bias", False)
NORM, SCALE = ("norm", False), ("scale", False)
LAYERS = {
    "dense": (lambda: nn.Linear(3, 2), {"weight": WEIGHT, "bias": BIAS}),
    "dense to one": (lambda: nn.Linear(5, 1), {"weight": WEIGHT, "bias": BIAS}),
    "dense from one": (lambda: nn.Linear(1, 5), {"weight": WEIGHT, "bias": BIAS}),
    "convolution": (lambda: nn.Conv2d(2, 3, 3), {"weight": WEIGHT, "bias": BIAS}),
    "convolution of one": (lambda: nn.Conv1d(1, 6, 1), {"weight": WEIGHT, "bias": BIAS}),
    "transposed": (lambda: nn.ConvTranspose3d(2, 3, 2), {"weight": WEIGHT, "bias": BIAS}),
    "depthwise": (lambda: nn.Conv2d(4, 4, 3, groups=4), {"weight": WEIGHT, "bias": BIAS}),
    "bilinear": (lambda: nn.Bilinear(2, 3, 4), {"weight": WEIGHT, "bias": BIAS}),
    "layer norm": (lambda: nn.LayerNorm(3), {"weight": NORM, "bias": NORM}),
    "layer norm of images": (lambda: nn.LayerNorm([3, 4, 5]), {"weight": NORM, "bias": NORM}),
    "batch norm": (lambda: nn.BatchNorm2d(3), {"weight": NORM, "bias": NORM}),
    "synchronised batch norm": (lambda: nn.SyncBatchNorm(3), {"weight": NORM, "bias": NORM}),
    "instance norm": (
        lambda: nn.InstanceNorm1d(3, affine=True), {"weight": NORM, "bias": NORM}),
    "group norm": (lambda: nn.GroupNorm(1, 3), {"weight": NORM, "bias": NORM}),
    "RMS norm": (lambda: nn.RMSNorm([2, 3]), {"weight": NORM}),
    "a house's norm": (lambda: HouseRMSNorm(weight=(4, 4)), {"weight": NORM}),
    "a house's norm of images": (lambda: LayerNorm2d(g=(4, 1, 1)), {"g": NORM}),
    "slope": (lambda: nn.PReLU(3), {"weight": ("activation", False)}),
    "table": (lambda: nn.Embedding(5, 3), {"weight": ("embedding", False)}),
    "bag": (lambda: nn.EmbeddingBag(5, 3), {"weight": ("embedding", False)}),
    "packed attention": (
        lambda: nn.MultiheadAttention(4, 2, add_bias_kv=True),
        {"in_proj_weight": WEIGHT, "in_proj_bias": BIAS, "bias_k": BIAS, "bias_v": BIAS,
         "out_proj.weight": WEIGHT, "out_proj.bias": BIAS}),
    "unpacked attention": (
        lambda: nn.MultiheadAttention(4, 2, kdim=3, vdim=5, bias=False),
        {"q_proj_weight": WEIGHT, "k_proj_weight": WEIGHT, "v_proj_weight": WEIGHT,
         "out_proj.weight": WEIGHT}),
    "LSTM": (
        lambda: nn.LSTM(3, 4, proj_size=2),
        {"weight_ih_l0": WEIGHT, "weight_hh_l0": WEIGHT, "bias_ih_l0": BIAS, "bias_hh_l0": BIAS,
         "weight_hr_l0": WEIGHT}),
    "GRU both ways": (
        lambda: nn.GRU(3, 4, bidirectional=True, bias=False),
        {"weight_ih_l0": WEIGHT, "weight_hh_l0": WEIGHT, "weight_ih_l0_reverse": WEIGHT,
         "weight_hh_l0_reverse": WEIGHT}),
    "weight norm": (
        lambda: parametrizations.weight_norm(nn.Linear(3, 2)),
        {"bias": BIAS, "parametrizations.weight.original0": SCALE,
         "parametrizations.weight.original1": WEIGHT}),
    "weight norm of one": (
        lambda: parametrizations.weight_norm(nn.Conv1d(1, 4, 1)),
        {"bias": BIAS, "parametrizations.weight.original0": SCALE,
         "parametrizations.weight.original1": WEIGHT}),
    "spectral norm": (
        lambda: parametrizations.spectral_norm(nn.Linear(3, 2)),
        {"bias": BIAS, "parametrizations.weight.original": WEIGHT}),
    "orthogonal": (
        lambda: parametrizations.orthogonal(nn.Linear(3, 3)),
        {"bias": BIAS, "parametrizations.weight.original": WEIGHT}),
    "a list": (
        lambda: nn.ParameterList([torch.ones(3, 3), torch.ones(3)]), {"0": WEIGHT, "1": SCALE}),
}  # fmt: skip


@pytest.mark.parametrize(("make", "expected"), LAYERS.values(), ids=LAYERS)
def test_layers_of_every_kind_are_told(make, expected):
    assert audit(make()) == expected


def test_an_older_weight_norm_is_told_too():
    with pytest.warns(FutureWarning):
        layer = nn.utils.weight_norm(nn.Linear(3, 2))
    assert audit(layer) == {"bias": BIAS, "weight_g": SCALE, "weight_v": WEIGHT}


OWN = {  # what models of the field hold without a layer around it
    "weight": {"in_proj": (4, 3), "lora_A": (2, 8), "text_projection": (4, 4), "w": (8, 1),
               "unbiased_weight": (3, 3), "experts": (8, 4, 4), "original": (6, 1, 1)},
    "bias": {"qkv_bias": (6,), "q_bias": (2, 3), "attention_biases": (4, 9),
             "attn_bias": (4, 7, 7), "expert_biases": (8, 4), "bias2": (3,)},
    "scale": {"gamma": (3,), "gamma_1": (3,), "layer_scale_1": (3, 1, 1), "beta": (1, 1, 1, 8),
              "logit_scale": (), "temperature": (4, 1, 1), "skip": (1, 8, 1, 1), "ls": (8,),
              "lambda_q1": (4,), "time_mix_k": (1, 1, 8)},
    "state space": {"A_log": (8, 4), "D": (8,), "dt_bias": (8,), "A_logs": (4, 2)},
    "token": {"cls_token": (1, 1, 4), "pos_embed": (1, 9, 4), "positional_embedding": (9, 4),
              "relative_position_bias_table": (9, 2), "mask_token": (1, 1, 4), "latents": (9, 4),
              "query_tokens": (1, 9, 4), "dist_token": (1, 1, 4), "class_embedding": (4,)},
}  # fmt: skip


@pytest.mark.parametrize("kind", OWN)
def test_parameters_without_a_layer_are_told_by_name_and_shape(kind):
    assert audit(Holder(**OWN[kind])) == dict.fromkeys(OWN[kind], (kind, kind == "weight"))


def test_names_are_told_alike_in_every_framework():
    assert kind_of("bias", (3,), None) == "bias"
    assert kind_of("kernel", (3, 3), None) == "weight"
    assert kind_of("weight", (3, 3), "norm") == "norm"


# --- what a model says, what a user says ---


def test_embeddings_decay_by_choice():
    assert audit(nn.Embedding(5, 3))["weight"] == ("embedding", False)
    assert audit(nn.Embedding(5, 3), embeddings=True)["weight"] == ("embedding", True)


class Tied(nn.Module):
    def __init__(self, first="read"):
        super().__init__()
        parts = {"read": nn.Embedding(5, 3), "write": nn.Linear(3, 5, bias=False)}
        for name in (first, *(set(parts) - {first})):
            setattr(self, name, parts[name])
        self.write.weight = self.read.weight


@pytest.mark.parametrize("first", ["read", "write"])
def test_a_tied_head_follows_its_embedding_and_stands_once(first):
    assert audit(Tied(first)) == {f"{first}.weight": ("embedding", False)}
    assert audit(Tied(first), embeddings=True) == {f"{first}.weight": ("embedding", True)}
    (group,) = pondera.decay_groups(Tied(first), weight_decay=0.1)
    assert len(group["params"]) == 1


def test_frozen_parameters_are_in_no_group_and_in_the_audit():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2).requires_grad_(False))
    groups = pondera.decay_groups(model, weight_decay=0.1)
    held = [p for group in groups for p in group["params"]]
    assert len(held) == 2
    assert all(p.requires_grad for p in held)
    assert [row.kind for row in groups.rows] == ["weight", "bias", "frozen", "frozen"]


def test_the_models_own_word_is_heard():
    class Model(Holder):
        def no_weight_decay(self):
            return {"matrix"}

    model = nn.ModuleDict({"body": Model(matrix=(3, 3), other=(3, 3)), "head": nn.Linear(3, 2)})
    model["head"].weight._no_weight_decay = True
    found = {row.name: row for row in pondera.decay_groups(model, weight_decay=0.1).rows}
    assert [name for name, row in found.items() if row.decayed] == ["body.other"]
    for name in ("body.matrix", "head.weight"):
        assert found[name].why == "the model asks for no decay here"


def test_patterns_of_the_caller_win_and_say_so():
    class Model(nn.Linear):
        def no_weight_decay(self):
            return {"weight"}

    model = nn.Sequential(Model(3, 2), nn.LayerNorm(2), nn.Linear(2, 2))
    groups = pondera.decay_groups(
        model, weight_decay=0.1, decay=["0.*", "1.weight"], keep=["0.bias", "2.*"]
    )
    found = {row.name: (row.decayed, row.why) for row in groups.rows}
    assert found == {
        "0.weight": (True, "matches decay='0.*'"),
        "0.bias": (False, "matches keep='0.bias'"),  # keep wins
        "1.weight": (True, "matches decay='1.weight'"),
        "1.bias": (False, WHY["norm"]),
        "2.weight": (False, "matches keep='2.*'"),
        "2.bias": (False, "matches keep='2.*'"),
    }


def test_one_pattern_may_stand_alone():
    """Taken letter by letter, '*.weight' would match everything."""
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    assert audit(model, keep="1.*") == audit(model, keep=["1.*"])
    assert audit(model, decay="*.bias") == audit(model, decay=("*.bias",))


# --- the groups ---


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD, torch.optim.NAdam])
def test_an_optimizer_takes_the_groups_as_they_are(kind):
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    groups = pondera.decay_groups(model, weight_decay=0.3)
    optimizer = kind(groups, lr=0.1)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]
    assert optimizer.param_groups[0]["params"] == [model[0].weight]
    assert len(optimizer.param_groups[1]["params"]) == 3
    assert "weight_decay" in optimizer.state_dict()["param_groups"][0]


def test_what_decays_shrinks_and_the_rest_stays():
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW(pondera.decay_groups(model, weight_decay=0.5), lr=0.1)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for name, w in model.state_dict().items():
        assert torch.equal(w, before[name] * (0.95 if name == "0.weight" else 1)), name


def test_every_trained_parameter_is_in_one_group():
    torch.manual_seed(0)
    model = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
    groups = pondera.decay_groups(model, weight_decay=0.1)
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    assert len(groups.rows) == len(held)


def test_a_group_that_would_be_empty_is_left_out():
    (group,) = pondera.decay_groups(nn.LayerNorm(3), weight_decay=0.1)
    assert group["weight_decay"] == 0.0
    (group,) = pondera.decay_groups(nn.Linear(3, 2, bias=False), weight_decay=0.1)
    assert group["weight_decay"] == 0.1


def test_bounds_can_be_attached_to_the_groups():
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2), nn.Linear(2, 1))
    optimizer = torch.optim.AdamW(pondera.decay_groups(model, weight_decay=0.1), lr=0.1)
    with pytest.warns(UserWarning, match=r"2\.weight is under decoupled weight decay too"):
        pondera.torch.regularize(optimizer, {"2.weight": pondera.L1(1e-3)}, model=model)
    optimizer = torch.optim.AdamW(
        pondera.decay_groups(model, weight_decay=0.1, keep="2.weight"), lr=0.1
    )
    handle = pondera.torch.regularize(optimizer, {"2.weight": pondera.L1(1e-3)}, model=model)
    assert handle.report().rows[0].way == "metric"


def test_the_audit_is_a_table_a_line_per_parameter():
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2), nn.Embedding(4, 2))
    model.register_parameter("logit_scale", nn.Parameter(torch.ones([])))
    lines = pondera.decay_groups(model, weight_decay=0.1).table().splitlines()
    assert lines[0].split() == ["parameter", "shape", "decays", "kind", "why"]
    assert [line.split()[0] for line in lines[1:]] == [n for n, _ in model.named_parameters()]
    assert lines[1].startswith("logit_scale  scalar  no      scale      a scale")
    assert lines[2] == "0.weight     2 × 3   yes     weight     " + WHY["weight"]
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("through", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_groups_can_be_copied_with_their_audit(through):
    groups = through(pondera.decay_groups(nn.Linear(3, 2), weight_decay=0.1))
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert [row.name for row in groups.rows] == ["weight", "bias"]


def flattened():
    model = nn.Module()
    model.register_parameter("_flat_param", nn.Parameter(torch.ones(9)))
    return model


MESSAGES = {
    "a negative decay": (
        lambda: pondera.decay_groups(nn.Linear(3, 2), weight_decay=-0.1),
        "decay_groups: needs 0 <= weight_decay < inf; got weight_decay=-0.1. Use 0 for no decay.",
    ),
    "no number": (
        lambda: pondera.decay_groups(nn.Linear(3, 2), weight_decay=float("nan")),
        "decay_groups: needs 0 <= weight_decay < inf; got weight_decay=nan. Use 0 for no decay.",
    ),
    "a pattern without a match": (
        lambda: pondera.decay_groups(nn.Linear(3, 2), weight_decay=0.1, keep=["wieght"]),
        "decay_groups: unknown keep pattern 'wieght'; did you mean 'weight'? Known: bias, weight.",
    ),
    "flattened": (
        lambda: pondera.decay_groups(flattened(), weight_decay=0.1),
        "decay_groups: '_flat_param' is many parameters flattened into one, and cannot be told apart. Call "
        "decay_groups before wrapping the model, or shard it without flattening (fully_shard).",
    ),
    "no model": (
        lambda: pondera.decay_groups([nn.Linear(3, 2)], weight_decay=0.1),
        "model: needs a torch.nn.Module; got list. Pass the model itself, not its class or its weights.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), MESSAGES.values(), ids=MESSAGES)
def test_messages_say_what_to_do(call, message):
    with pytest.raises(DomainError) as fault:
        call()
    assert str(fault.value) == message


@pytest.mark.parametrize("model", [nn.ReLU(), nn.Linear(3, 2).requires_grad_(False)])
def test_a_model_with_nothing_to_train_is_refused(model):
    with pytest.raises(DomainError, match="decay_groups: needs a parameter that is trained; got"):
        pondera.decay_groups(model, weight_decay=0.1)


# --- names and layers of other makes ---


def test_a_compiled_models_names_are_the_plain_ones():
    plain = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    model = torch.compile(plain, backend="eager")
    assert audit(model) == audit(plain)
    assert audit(model, keep="0.weight")["0.weight"] == ("weight", False)


def test_a_tied_weight_goes_by_either_name():
    for pattern in ("read.*", "write.*"):
        (row,) = pondera.decay_groups(Tied(), weight_decay=0.1, decay=pattern).rows
        assert (row.name, row.decayed) == ("read.weight", True)


def test_a_parametrized_embedding_is_still_a_table():
    assert audit(parametrizations.weight_norm(nn.Embedding(5, 3))) == {
        "parametrizations.weight.original0": SCALE,
        "parametrizations.weight.original1": ("embedding", False),
    }


def test_embeddings_of_other_libraries_are_known_by_what_they_count():
    class ParallelEmbedding(Holder):
        num_embeddings = 9

    found = audit(ParallelEmbedding(weight=(9, 3), cls_token=(1, 1, 3)))
    assert found == {"weight": ("embedding", False), "cls_token": ("token", False)}


def test_a_lazy_layer_is_refused_with_the_reason():
    with pytest.raises(DomainError) as fault:
        pondera.decay_groups(nn.Sequential(nn.LazyLinear(3)), weight_decay=0.1)
    assert str(fault.value) == (
        "decay_groups: '0.weight' belongs to a lazy layer and has no shape yet. Run one batch "
        "through the model "
        "first."
    )


@pytest.mark.parametrize("rate", ["0.1", None, [0.1]])
def test_a_decay_that_is_no_number_is_refused(rate):
    with pytest.raises(DomainError, match="needs 0 <= weight_decay < inf; got weight_decay="):
        pondera.decay_groups(nn.Linear(3, 2), weight_decay=rate)


def test_a_model_without_parameters_is_told_as_such():
    with pytest.raises(DomainError) as fault:
        pondera.decay_groups(nn.ReLU(), weight_decay=0.1)
    assert str(fault.value) == (
        "decay_groups: needs a parameter that is trained; got a model without parameters. Set requires_grad "
        "first, or pass the model that holds the weights."
    )
