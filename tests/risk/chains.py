"""Ways to make contracts for the tests."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from hypothesis import strategies as st

from risk.options import OptionChain


def chain_of(rows: Iterable[tuple[str, float, float, float, float, float, float]]) -> OptionChain:
    """From (type, strike, spot, dividend yield, rate, time, volatility), the order of the published tables."""
    kinds, strike, spot, dividend_yield, rate, time, volatility = zip(*rows, strict=True)
    columns = (np.array(column, dtype=float) for column in (spot, strike, rate, dividend_yield, volatility, time))
    return OptionChain(np.array([kind == "call" for kind in kinds]), *columns)


def one(kind: str = "call", **changed: float) -> OptionChain:
    """A contract at the money over a year, but for what is said."""
    usual = {"strike": 100.0, "spot": 100.0, "dividend_yield": 0.02, "rate": 0.05, "time": 1.0, "volatility": 0.2}
    strike, spot, dividend_yield, rate, time, volatility = (usual | changed).values()
    return chain_of([(kind, strike, spot, dividend_yield, rate, time, volatility)])


def random_chain(seed: int, n: int = 300, lowest_rate: float = 0.0) -> OptionChain:
    """Ordinary contracts: 30 % around the money, up to three years."""
    rng = np.random.default_rng(seed)
    return OptionChain(
        rng.random(n) < 0.5,
        rng.uniform(70, 130, n),
        np.full(n, 100.0),
        rng.uniform(lowest_rate, 0.12, n),
        rng.uniform(lowest_rate, 0.12, n),
        rng.uniform(0.05, 0.8, n),
        rng.uniform(0.02, 3, n),
    )


ANY_VOLATILITY = st.sampled_from([0.0, 1e-300, 1e-9, 10.0]) | st.floats(0, 10)


@st.composite
def contracts(draw: st.DrawFn, volatility: st.SearchStrategy[float] = ANY_VOLATILITY) -> OptionChain:
    """One contract from all that may be asked for, edges included."""
    money = st.sampled_from([1e-8, 0.01, 1.0, 99.9999, 100.0, 1e12]) | st.floats(1e-8, 1e12)
    rate = st.sampled_from([-1.0, 0.0, 1e-12, 1.0]) | st.floats(-1, 1)
    return OptionChain(
        np.array([draw(st.booleans())]),
        *(
            np.array([draw(values)])
            for values in (
                money,
                money,
                rate,
                rate,
                volatility,
                st.sampled_from([0.0, 1e-300, 1e-9, 1 / 365, 100.0]) | st.floats(0, 100),
            )
        ),
    )
