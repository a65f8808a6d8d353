"""Statistical distributions of `<pause>` and `<sample>`: what each needs, a draw, what 99 of 100 draws stay below."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

_NORMAL_99: Final = 2.3263478740408408  # standard deviations
_FEW: Final = 500.0  # a mean up to which Poisson is drawn step by step

Parameters = tuple[float, ...]
Draw = Callable[[Random, Parameters], float]
Bound = Callable[[Parameters], float]


@dataclass(frozen=True, slots=True)
class Distribution:
    """One with its parameters, in the order of `KINDS`."""

    kind: str
    parameters: Parameters

    def sample(self, random: Random) -> float:
        """One draw; 0.0 where the parameters allow none."""
        try:
            return KINDS[self.kind].draw(random, self.parameters)
        except (OverflowError, ValueError, ZeroDivisionError):
            return 0.0

    def percentile_99(self) -> float:
        """What 99 of 100 draws stay below; to some per cent for gamma, negbin and poisson."""
        try:
            return KINDS[self.kind].bound(self.parameters)
        except OverflowError:
            return math.inf
        except (ValueError, ZeroDivisionError):
            return 0.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A distribution: the attributes that it needs, a draw, and its 99th percentile."""

    needs: tuple[str, ...]
    draw: Draw
    bound: Bound


def _poisson(random: Random, mean: float) -> float:
    if mean > _FEW:
        return max(0.0, float(round(random.gauss(mean, math.sqrt(mean)))))
    limit, count, product = math.exp(-mean), 0, random.random()
    while product > limit:
        count += 1
        product *= random.random()
    return float(count)


def _pareto_general(uniform: float, shape: float, scale: float, location: float) -> float:
    if shape == 0:
        return location - scale * math.log(uniform)
    return location + scale * (math.pow(uniform, -shape) - 1) / shape


def _gamma_99(k: float, theta: float) -> float:
    """Wilson and Hilferty's approximation."""
    return k * theta * (1 - 1 / (9 * k) + _NORMAL_99 / (3 * math.sqrt(k))) ** 3


def _about_99(mean: float, variance: float) -> float:
    return mean + _NORMAL_99 * math.sqrt(variance)


KINDS: Final[Mapping[str, Kind]] = {
    "fixed": Kind(("value",), lambda _random, p: p[0], lambda p: p[0]),
    "uniform": Kind(("min", "max"), lambda random, p: random.uniform(p[0], p[1]),
                    lambda p: p[0] + 0.99 * (p[1] - p[0])),
    "normal": Kind(("mean", "stdev"), lambda random, p: random.gauss(p[0], p[1]), lambda p: p[0] + _NORMAL_99 * p[1]),
    "lognormal": Kind(("mean", "stdev"), lambda random, p: random.lognormvariate(p[0], p[1]),
                      lambda p: math.exp(p[0] + _NORMAL_99 * p[1])),
    "exponential": Kind(("mean",), lambda random, p: random.expovariate(1 / p[0]), lambda p: p[0] * math.log(100)),
    "weibull": Kind(("lambda", "k"), lambda random, p: random.weibullvariate(p[0], p[1]),
                    lambda p: p[0] * math.log(100) ** (1 / p[1])),
    "pareto": Kind(("k", "x_m"), lambda random, p: p[1] * random.paretovariate(p[0]),
                   lambda p: p[1] * 100 ** (1 / p[0])),
    "gpareto": Kind(("shape", "scale", "location"), lambda random, p: _pareto_general(1 - random.random(), *p),
                    lambda p: _pareto_general(0.01, *p)),
    "gamma": Kind(("k", "theta"), lambda random, p: random.gammavariate(p[0], p[1]), lambda p: _gamma_99(*p)),
    "negbin": Kind(("n", "p"), lambda random, p: _poisson(random, random.gammavariate(p[0], (1 - p[1]) / p[1])),
                   lambda p: _about_99(p[0] * (1 - p[1]) / p[1], p[0] * (1 - p[1]) / p[1] ** 2)),
    "poisson": Kind(("mean",), lambda random, p: _poisson(random, p[0]), lambda p: _about_99(p[0], p[0])),
}  # fmt: skip
