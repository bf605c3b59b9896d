"""PyTorch's own threads for the compiled steps, where they are those of the libgomp that its wheels bring."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import torch

from pondera.kernel import team


def lend_threads() -> None:
    """Lend PyTorch's team to the kernel; nothing happens where it has another one."""
    loaded: int | None = getattr(os, "RTLD_NOLOAD", None)  # a second copy would be a second team
    if loaded is None:
        return
    for place in (Path(torch.__file__).parent / "lib").glob("libgomp*.so*"):
        try:
            parallel = ctypes.CDLL(str(place), mode=loaded | os.RTLD_NOW).GOMP_parallel
        except (OSError, AttributeError):
            continue
        address = ctypes.cast(parallel, ctypes.c_void_p).value
        if address:
            team.lend(team.Team(address, torch.get_num_threads))
            return
