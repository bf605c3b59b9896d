"""`core/draw.py` and the fused optimizer steps compiled: the speed, never a second definition.

Every drawn bit equals core's; where there is no compiled library, core itself runs.
"""

from pondera.kernel.blocks import overlaps as overlaps
from pondera.kernel.fills import draw as draw
from pondera.kernel.fills import fill as fill
from pondera.kernel.fills import fill_block as fill_block
from pondera.kernel.info import KernelInfo as KernelInfo
from pondera.kernel.info import kernel_info as kernel_info
from pondera.kernel.memory import array_memory as array_memory
from pondera.kernel.pool import use_threads as use_threads
from pondera.kernel.weights import Weight as Weight
from pondera.kernel.weights import checked as checked
from pondera.kernel.weights import weight_of as weight_of
from pondera.kernel.weights import write as write
from pondera.kernel.weights import write_small as write_small

__all__ = [
    "KernelInfo",
    "Weight",
    "array_memory",
    "checked",
    "draw",
    "fill",
    "fill_block",
    "kernel_info",
    "overlaps",
    "use_threads",
    "weight_of",
    "write",
    "write_small",
]
