"""Entry points for the process that may import heavy libraries. Importing this module imports none of them."""

from __future__ import annotations

from contracts import Floats
from risk.implied_volatility import ImpliedVolatility
from risk.options import OptionChain, Valuation
from risk.portfolio_terms import OptimisationTerms, Optimised


def two_boundary_options(chain: OptionChain) -> Valuation:
    """``risk.american_quantlib.two_boundary_valuation``."""
    from risk.american_quantlib import two_boundary_valuation

    return two_boundary_valuation(chain)


def two_boundary_volatilities(chain: OptionChain, price: Floats) -> ImpliedVolatility:
    """``risk.american_quantlib.two_boundary_implied_volatility``."""
    from risk.american_quantlib import two_boundary_implied_volatility

    return two_boundary_implied_volatility(chain, price)


def optimal_portfolios(returns: Floats, current: Floats, terms: OptimisationTerms) -> Optimised:
    """``risk.optimisation.optimised``."""
    from risk.optimisation import optimised

    return optimised(returns, current, terms)
