"""The plan of a model: a row per parameter, to read, edit, save, compare and carry out."""

from pondera.model.plan.document import Plan as Plan
from pondera.model.plan.making import plan as plan
from pondera.model.plan.making import plan_of as plan_of
from pondera.model.plan.row import PlanRow as PlanRow
from pondera.model.schemes.registry import schemes as schemes
