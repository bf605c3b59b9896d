"""Keeping weights in bounds: penalties attached to any optimizer, in the optimizer's own metric."""

from pondera.torch.bounds.attach import regularize as regularize
from pondera.torch.bounds.attach import resume as resume
from pondera.torch.bounds.handle import Handle as Handle
from pondera.torch.bounds.plain import Schedule as Schedule
