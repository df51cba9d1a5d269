"""Plans: valid operations compiled once and run breadth first. See README.md beside this."""

from __future__ import annotations

from schema.execution.cache import PlanCache
from schema.execution.compiler import Planner
from schema.execution.plan import Plan
from schema.execution.values import NotPlanned, Unfit

__all__ = ["NotPlanned", "Plan", "PlanCache", "Planner", "Unfit"]
