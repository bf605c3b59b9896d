"""Where a model comes from: a function of the user's, timm, or an architecture of transformers."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pondera.core.errors import DomainError, missing, unknown
from pondera.model.inputs import Input
from pondera.study.sources import called, function_at, reason


@dataclass(frozen=True)
class Source:
    """A model that a path named.

    Args:
        path: as it was written.
        model: the model.
        example: what it can be called with, None if only the user knows.
    """

    path: str
    model: Any
    example: Any = None


def source_of(path: str, *, real: bool) -> Source:
    """The model that a path names; of a library, built without memory unless `real`.

    Args:
        path: "pkg.module:build", "timm:name", "hf:type" or "hf:config.json".
        real: whether its own start is needed.

    Returns:
        The model, with an example where the library knows one.

    Raises:
        DomainError: no such path, or a model that cannot be built. MissingFramework: no torch, timm or
            transformers.
    """
    torch = _library("torch", "PyTorch", "pondera plan")
    origin, _, name = path.partition(":")
    place = nullcontext() if real else torch.device("meta")
    if origin == "timm":
        with place:
            return _timm(path, name)
    if origin == "hf":
        with place:
            return _transformers(path, name)
    model = called(function_at(path, option="MODEL"), path=path, option="MODEL")
    if not isinstance(model, torch.nn.Module):
        raise DomainError(
            f"MODEL: {path} must return a torch.nn.Module; got {type(model).__name__}. Return the model."
        )
    return Source(path, model)


def _library(name: str, called_so: str, asker: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as fault:
        if fault.name != name:
            raise DomainError(
                f"{asker}: importing {name} needs {fault.name!r}, which is not installed. Install {name} "
                "whole."
            ) from None
        if name == "torch":
            raise missing(asker, called_so, "torch") from None
        raise DomainError(
            f"{asker}: needs {called_so}, which is not installed. Run: pip install {name}"
        ) from None


def _timm(path: str, name: str) -> Source:
    timm = _library("timm", "timm", "timm:NAME")
    if name not in timm.list_models():
        raise unknown("MODEL", "timm model", name, timm.list_models())
    model = _built(path, lambda: timm.create_model(name, pretrained=False))
    size = model.default_cfg.get("input_size") if hasattr(model, "default_cfg") else None
    return Source(path, model, Input(2, *size) if size else None)


def _transformers(path: str, name: str) -> Source:
    library = _library("transformers", "transformers", "hf:TYPE")
    if name.endswith(".json"):
        if not Path(name).is_file():
            raise DomainError(
                f"MODEL: {name!r} is no file. Name a config.json, or a type: hf:gpt2."
            )
        config = _built(path, lambda: library.AutoConfig.from_pretrained(name))
    else:
        known = list(library.models.auto.configuration_auto.CONFIG_MAPPING)
        if name not in known:
            raise unknown("MODEL", "transformers architecture", name, known)
        config = _built(path, lambda: library.AutoConfig.for_model(name))
    return Source(path, _built(path, lambda: _of_config(library, config)), _words(config))


def _of_config(library: Any, config: Any) -> Any:
    """The class that the configuration names; else a language model of it; else its bare model."""
    for name in getattr(config, "architectures", None) or ():
        if hasattr(library, name):
            return getattr(library, name)(config)
    table = library.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING
    auto = library.AutoModelForCausalLM if type(config) in table else library.AutoModel
    return auto.from_config(config)


def _words(config: Any) -> Any:
    """Word numbers, where the model reads words alone."""
    vision = any(
        hasattr(config, field) for field in ("image_size", "vision_config", "audio_config")
    )
    if vision or not hasattr(config, "vocab_size"):
        return None
    return {"input_ids": Input(1, 16, dtype="int64")}


def _built(path: str, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except Exception as fault:
        raise DomainError(
            f"MODEL: {path} raised {reason(fault)}. Build it once by hand, and mend what it says."
        ) from fault
