"""Every architecture of other libraries that is installed: traced, and no parameter left unexplained."""

import pytest

from pondera.model.roles import roles_of
from pondera.torch.trace import trace
from tests import model_zoo

# used where a mask of the inputs is given, or where a part is asked for, and not otherwise
ASKED_FOR = ("mask_token", "masked_spec_embed", "mask_emb")
TRUE_ROLES = {
    "q_proj": {"query"}, "k_proj": {"key"}, "v_proj": {"value"}, "query": {"query"}, "key": {"key"},
    "value": {"value"}, "o_proj": {"attention out"}, "gate_proj": {"gate"}, "up_proj": {"up"},
    "down_proj": {"down"}, "lm_head": {"head"}, "embed_tokens": {"embedding"}, "word_embeddings": {"embedding"},
    "qkv": {"query", "key", "value"}, "A_log": {"state"}, "D": {"skip"},
}  # fmt: skip
PLAIN = "bert cohere2 gemma gemma2 llama mistral mixtral olmo2 olmoe phi3 qwen3 qwen3_moe roberta vit".split()


def checked(name: str):
    found = roles_of(trace(*model_zoo.built(name)))
    left = [site.name for site in found.sites if site.role == "other"]
    unseen = [name for name in found.unseen if not name.endswith(ASKED_FOR)]
    assert (left, unseen) == ([], [])
    for site in found.sites:
        for part in site.parts:
            assert (part.fan_in is None) == (part.fan_out is None), site.name
            assert part.fan_in is None or 1 <= part.fan_in <= max(1, site.size), site.name
        if len(site.shape) < 2 and site.shape:
            assert site.role not in ("dense", "convolution"), site.name
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*model_zoo.TEXT, *model_zoo.VISION, *model_zoo.SOUND])
def test_every_parameter_of_transformers_is_explained(name):
    pytest.importorskip("transformers")
    checked(name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", model_zoo.FAMILIES)
def test_every_parameter_of_timm_is_explained(name):
    pytest.importorskip("timm")
    checked(name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PLAIN)
def test_roles_agree_with_the_names_that_authors_gave(name):
    pytest.importorskip("transformers")
    for site in checked(name).sites:
        leaf = site.owner.path.rpartition(".")[2]
        if site.owner.leaf == "weight" and leaf in TRUE_ROLES:
            assert set(site.roles) <= TRUE_ROLES[leaf], site.name
