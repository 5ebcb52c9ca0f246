"""The volatility ahead, bar by bar from lists: the slow twin of features/filtered.py."""

from __future__ import annotations

import math


def naive_ahead(returns, sigma, reactions, day_variances=None):
    """{bars: log(volatility of the next bars / sigma)} at the last of these returns, none of which is NaN."""
    squares = [r * r for r in returns]

    def mean(values, known):
        part = values[max(known - 1000, 0) : known]
        return max(sum(part) / len(part), 1e-10)

    long_run = [math.nan] + [mean(squares, known) for known in range(1, len(squares) + 1)]
    shocks = list(squares)
    if day_variances is not None:
        for i in range(64, len(squares)):
            shocks[i] = day_variances[i] * min(max(long_run[i] / mean(day_variances, i), 1 / 3), 3)
    total, answer = 0.0, dict.fromkeys((1, 5, 20, 90), 0.0)
    found = []
    for persistence in (0.94, 0.98, 0.995):
        for reaction in reactions:
            for falls in (0.2, 0.9):
                a, g, b = reaction * (1 - falls), 2 * reaction * falls, persistence - reaction
                variance, likelihood = long_run[64], 0.0
                for i in range(64, len(returns)):
                    term = -0.5 * math.log(variance) - 3.0 * math.log(1 + squares[i] / variance / 3.0)
                    likelihood = likelihood * 0.5 ** (1 / 250) + term
                    push = (a + g * (returns[i] < 0)) * shocks[i]
                    variance = (1 - persistence) * long_run[i + 1] + push + b * variance
                found.append((likelihood, variance, persistence))
    best = max(each[0] for each in found)
    for likelihood, variance, p in found:
        weight = math.exp(likelihood - best)
        total += weight
        for bars in answer:
            path = [long_run[-1] + p**k * (variance - long_run[-1]) for k in range(bars)]
            answer[bars] += weight * sum(path) / bars
    return {bars: 0.5 * math.log(value / total) - math.log(sigma) for bars, value in answer.items()}
