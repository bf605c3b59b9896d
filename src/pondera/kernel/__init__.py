"""`core/draw.py` and the fused optimizer steps compiled: the speed, never a second definition.

Every drawn bit equals core's; where there is no compiled library, core itself runs.
"""

from pondera.kernel.fills import draw as draw
from pondera.kernel.fills import fill as fill
from pondera.kernel.fills import fill_block as fill_block
from pondera.kernel.info import KernelInfo as KernelInfo
from pondera.kernel.info import kernel_info as kernel_info
from pondera.kernel.pool import use_threads as use_threads

__all__ = ["KernelInfo", "draw", "fill", "fill_block", "kernel_info", "use_threads"]
