"""Architectures of other libraries at few layers, on meta: `python -m tests.model_zoo [name …]`.

Prints what each parameter of each is; without names, all that are listed. Widths are the authors' own: a
trace takes no memory for them. `everything()` lists all configurations and families that are installed.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

TEXT = (
    "afmoe albert apertus arcee bart bert big_bird bigbird_pegasus biogpt bitnet bloom codegen cohere2 ctrl "
    "deberta-v2 deepseek_v3 distilbert electra ernie4_5_moe falcon falcon_h1 fnet gemma gemma2 glm4 gpt2 "
    "gpt_bigcode gpt_neox gpt_oss gptj granitemoe llama mamba mamba2 mistral mixtral mpt "
    "olmo2 olmoe opt phi phi3 qwen2_moe qwen3 qwen3_moe recurrent_gemma roberta roformer rwkv stablelm "
    "starcoder2 switch_transformers t5 xglm xlm-roberta"
).split()
VISION = (
    "beit bit clip_vision_model convnextv2 cvt deit dinov2 focalnet mobilevit resnet swin swinv2 vit vit_mae"
).split()
SOUND = "audio-spectrogram-transformer data2vec-audio hubert sew unispeech wav2vec2 wavlm".split()
FAMILIES = (
    "beit_base_patch16_224 cait_xxs24_224 coat_tiny convmixer_768_32 convnext_atto crossvit_tiny_240 "
    "davit_tiny deit_tiny_patch16_224 densenet121 dla34 dpn68 edgenext_xx_small efficientformer_l1 "
    "efficientnet_b0 efficientvit_b0 eva02_tiny_patch14_224 fastvit_t8 focalnet_tiny_srf gcvit_xxtiny "
    "ghostnet_050 hiera_tiny_224 hrnet_w18_small inception_v3 levit_128s mambaout_femto mixer_s32_224 "
    "mobilenetv3_small_050 mobilevit_xxs mvitv2_tiny nfnet_f0 pit_ti_224 poolformer_s12 pvt_v2_b0 "
    "regnetx_002 repvit_m1 resmlp_12_224 resnest14d resnet18 resnetv2_50 rexnet_100 selecsls42 "
    "sequencer2d_s skresnet18 swin_tiny_patch4_window7_224 swinv2_tiny_window8_256 tiny_vit_5m_224 "
    "tnt_s_patch16_224 twins_pcpvt_small vgg11 visformer_tiny vit_relpos_small_patch16_224 "
    "volo_d1_224 xception41 xcit_nano_12_p16_224"
).split()
HEADS = (
    "SEQ_TO_SEQ_CAUSAL_LM CAUSAL_LM MASKED_LM IMAGE_CLASSIFICATION AUDIO_CLASSIFICATION PRETRAINING"
).split()

_DEEP = re.compile(r"(^|_)(num_)?((hidden|encoder|decoder)_)?(n_)?(layers?|depths?|blocks)$")
_KEPT = re.compile(r"conv|dense|feat_extract|window|interval|indices")
_LAYERS = 3


def transformers_model(name: str) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """A model of a configuration of transformers, at few layers, and an example."""
    from transformers.models.auto import modeling_auto
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    config = _shallow(CONFIG_MAPPING[name])
    mappings = [getattr(modeling_auto, f"MODEL_FOR_{head}_MAPPING") for head in HEADS]
    held = next(m for m in (*mappings, modeling_auto.MODEL_MAPPING) if type(config) in m)
    found = held[type(config)]
    model_class = found[0] if isinstance(found, (list, tuple)) else found
    with torch.device("meta"):
        model = model_class(config)
    return model, _example(model, config)


def _shallow(config_class: Any) -> Any:
    """The configuration's defaults, with as few layers as it takes."""
    plain = config_class()
    few: dict[str, Any] = {}
    for key, entry in vars(plain).items():
        if not _DEEP.search(key) or _KEPT.search(key) or isinstance(entry, bool):
            continue
        if isinstance(entry, int) and entry > _LAYERS:
            few[key] = _LAYERS
        elif isinstance(entry, list) and entry and all(type(n) is int for n in entry):
            few[key] = [min(n, _LAYERS) for n in entry]
    try:
        return config_class(**few)
    except (TypeError, ValueError):  # other settings must agree with the depth
        return plain


def _example(model: nn.Module, config: Any) -> dict[str, torch.Tensor]:
    taken = inspect.signature(model.forward).parameters
    main = getattr(model, "main_input_name", "input_ids")
    rows = torch.zeros(2, 16, dtype=torch.long)
    found = {"input_ids": rows}
    if main == "pixel_values":
        size = getattr(config, "image_size", 224)
        height, width = (size, size) if isinstance(size, int) else tuple(size)[-2:]
        found = {main: torch.empty(2, getattr(config, "num_channels", 3), height, width)}
    elif main == "input_values":
        bins = getattr(config, "num_mel_bins", None)
        shape = (
            (2, config.max_length, bins) if bins and hasattr(config, "max_length") else (2, 8000)
        )
        found = {main: torch.empty(*shape)}
    if getattr(config, "is_encoder_decoder", False) and "decoder_input_ids" in taken:
        found["decoder_input_ids"] = rows
    return found


def timm_model(name: str) -> tuple[nn.Module, torch.Tensor]:
    """A model of timm without its weights, and an example."""
    import timm

    with torch.device("meta"):
        model = timm.create_model(name, pretrained=False)
    return model, torch.empty(2, *model.default_cfg.get("input_size", (3, 224, 224)))


def built(name: str) -> tuple[nn.Module, Any]:
    """A model by its name in one of the two libraries."""
    return timm_model(name) if name in FAMILIES else transformers_model(name)


def everything() -> Iterator[str]:
    """Names of all configurations of transformers, then of one model per family of timm."""
    import timm
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    yield from CONFIG_MAPPING_NAMES
    for family in timm.list_modules():
        yield min(timm.list_models(module=family), key=len, default="")


def main(names: list[str]) -> None:
    from pondera.model.roles import roles_of
    from pondera.torch.trace import trace

    for name in names or [*TEXT, *VISION, *SOUND, *FAMILIES]:
        found = roles_of(trace(*built(name)))
        print(f"{name}: depth {found.depth}, {found.streams} streams, unseen {found.unseen}")
        for site in found.sites if names else ():
            parts = "/".join(part.role for part in site.parts)
            fans = site.parts[0].fan_in, site.parts[0].fan_out
            print(f"  {site.name:60} {parts:24} {site.shape} fans {fans} | {site.why}")


if __name__ == "__main__":
    main(sys.argv[1:])
