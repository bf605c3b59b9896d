"""A record of a pass as the graph that the roles are read from."""

from __future__ import annotations

from torch import nn

from pondera.model.trace import Graph, Owner
from pondera.torch.trace.record import Recorder


def graph_of(
    model: nn.Module, recorder: Recorder, returned: list[int], answered: list[str]
) -> Graph:
    """The graph of a pass.

    Args:
        model: the model.
        recorder: what was written down.
        returned: numbers of the values that the model returned.
        answered: where answers were given.
    """
    parameters = dict(model.named_parameters())
    owners, ties = _owners(model)
    whole = [(n, p.is_floating_point() or p.is_complex()) for n, p in parameters.items()]
    return Graph(
        values=tuple(recorder.values),
        operations=tuple(recorder.operations),
        shapes={name: tuple(p.shape) for name, p in parameters.items()},
        owners={name: owners[name] for name in parameters},
        outputs=tuple(returned),
        frozen=frozenset(name for name, p in parameters.items() if not p.requires_grad),
        ties=ties,
        integers=frozenset(name for name, floating in whole if not floating),
        answered=tuple(dict.fromkeys(answered)),
    )


def _owners(model: nn.Module) -> tuple[dict[str, Owner], dict[str, str]]:
    """Name → module that holds it; further names of tied parameters → the first."""
    first = {id(p): name for name, p in model.named_parameters()}
    owners, ties = dict[str, Owner](), dict[str, str]()
    for path, module in model.named_modules(remove_duplicate=False):
        for leaf, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            full, name = f"{path}.{leaf}" if path else leaf, first[id(parameter)]
            if full == name:
                owners[name] = Owner(path, _class_of(module), leaf)
            else:
                ties[full] = name
    return owners, ties


def _class_of(module: nn.Module) -> str:
    """A module's class; of a scripted one, that of its source."""
    return str(getattr(module, "original_name", type(module).__name__))
