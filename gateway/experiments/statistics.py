"""How sure counts are: an interval for a share of units, and whether the units were dealt as the weights say.

Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 1927: the interval of a share
that is right for small numbers too. Fabijan et al., "Diagnosing Sample Ratio Mismatch in Online Controlled
Experiments", KDD 2019: Pearson's χ² of the units by arm; where it is improbable, something keeps people out of an
arm or brings too many into it, and no difference between the arms can be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import erfc, exp, gamma, sqrt
from typing import Final

Z: Final = 1.959964
"""Of a two-sided interval of 95 %."""
LEAST_EXPECTED: Final = 5.0
"""Units that every arm must be expected to have for χ² to mean anything (Cochran 1954)."""


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Where the share lies with 95 % confidence; `trials` at least 1."""
    share = successes / trials
    z2 = Z * Z / trials
    middle = share + z2 / 2
    half = Z * sqrt((share * (1 - share) + z2 / 4) / trials)
    return max(0.0, (middle - half) / (1 + z2)), min(1.0, (middle + half) / (1 + z2))


def sample_ratio(units: Mapping[str, int], weights: Mapping[str, float]) -> float | None:
    """How probable such a dealing of units is by these weights, 0..1; None where there are too few to say."""
    dealt = {arm: weight for arm, weight in weights.items() if weight > 0}
    everybody = sum(units.get(arm, 0) for arm in dealt)
    whole = sum(dealt.values())
    expected = {arm: everybody * weight / whole for arm, weight in dealt.items()}
    if len(dealt) < 2 or min(expected.values()) < LEAST_EXPECTED:
        return None
    chi2 = sum((units.get(arm, 0) - wanted) ** 2 / wanted for arm, wanted in expected.items())
    return chi2_tail(chi2, len(dealt) - 1)


def chi2_tail(value: float, freedom: int) -> float:
    """The probability of at least this value with so many degrees of freedom.

    Closed forms for whole numbers of degrees: Abramowitz, Stegun, "Handbook of Mathematical Functions", 26.4.4
    and 26.4.5.
    """
    half = value / 2
    if freedom % 2 == 0:
        terms = [half**n / gamma(n + 1) for n in range(freedom // 2)]
        return min(1.0, exp(-half) * sum(terms))
    terms = [float(half ** (n - 0.5)) / gamma(n + 0.5) for n in range(1, (freedom + 1) // 2)]
    return min(1.0, erfc(sqrt(half)) + exp(-half) * sum(terms))
