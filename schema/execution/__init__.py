"""Plans: valid operations compiled once and run breadth first. See README.md beside this."""

from __future__ import annotations

from schema.execution.cache import PlanCache
from schema.execution.checks import Checks
from schema.execution.mutations import MutationExecutor
from schema.execution.plan import MutationPlan, Plan
from schema.execution.planner import Planner
from schema.execution.values import NotPlanned, Unfit

__all__ = [
    "Checks",
    "MutationExecutor",
    "MutationPlan",
    "NotPlanned",
    "Plan",
    "PlanCache",
    "Planner",
    "Unfit",
]
