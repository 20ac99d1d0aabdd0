"""A mean with its interval, as every table and figure shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, pstdev, stdev
from typing import Literal

Interval = Literal["student", "published"]
INTERVALS: dict[str, str] = {
    "student": "mean over seeds with its 95% interval (Student's t)",
    "published": "mean over seeds with 1.96 population standard deviations / sqrt(seeds), as in the published code",
}


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` seeds; `half_width` of its interval is 0 without chance and None where it is unknown."""

    mean: float
    half_width: float | None
    count: int

    @property
    def low(self) -> float:
        """Lower end of the interval, minus infinity where it is unknown."""
        return float("-inf") if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end of the interval, infinity where it is unknown."""
        return float("inf") if self.half_width is None else self.mean + self.half_width


def estimate(values: Sequence[float], interval: Interval, *, chance: bool = True) -> Estimate:
    """Mean and interval of values over seeds; one value leaves the interval unknown, unless no `chance` is in it."""
    mean, count = fmean(values), len(values)
    if not chance:
        return Estimate(mean, 0.0, count)
    if count < 2:
        return Estimate(mean, None, count)
    if interval == "published":
        return Estimate(mean, 1.96 * pstdev(values) / sqrt(count), count)
    return Estimate(mean, _student_quantile(count - 1) * stdev(values) / sqrt(count), count)


def _student_quantile(degrees: int) -> float:
    from scipy.stats import t  # type: ignore[import-untyped, unused-ignore]

    return float(t.ppf(0.975, degrees))
