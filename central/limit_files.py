"""What people write to propose limits: how to estimate them, or the numbers themselves (pydantic models).

Limits by numbers come as YAML or JSON, by the command line from a file, by the interface as a body::

    characteristic: torque
    line: valve-1
    product: VS-100
    revision: C
    chart: imr
    limits: {centre: 2.2, lower: 2.0, upper: 2.4}
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, JsonValue, StringConstraints

from central.limit_sets import LimitKey, design_of
from central.phase_one import Method
from records.yaml import Settings
from spc.limits import CHARTS

Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class MethodSettings(Settings):
    """How limits are estimated from points; what is left out is as it is usual for the chart."""

    constants: Literal["exact", "textbook"] = "exact"
    sigma: Literal["mean_mr", "median_mr", "sd", "sd/c4", "rbar", "sbar", "pooled"] | None = None
    centre: Literal["mean", "median"] = "mean"
    confidence: Annotated[FiniteFloat, Field(gt=0, lt=1)] | None = None
    design: dict[str, JsonValue] | None = None

    def method(self) -> Method:
        """Raises Invalid for a design that is none."""
        design = None if self.design is None else design_of(self.design)
        return Method(self.constants, self.sigma, self.centre, self.confidence, design)


class GivenSettings(Settings):
    """Limits by numbers. ``limits``: what ``central.limit_sets.limits_of`` takes for this kind of chart."""

    characteristic: Name
    line: Name | None = None
    product: Name | None = None
    revision: Name | None = None
    tool: Name | None = None
    position: Name | None = None
    chart: Literal[CHARTS]  # type: ignore[valid-type]  # the one list of charts
    subgroup: Annotated[int, Field(ge=1, le=500)] = 1
    limits: dict[str, JsonValue]

    def key(self) -> LimitKey:
        return LimitKey(self.characteristic, self.line, self.product, self.revision, self.tool, self.position)
