"""Bodies of the option routes. Rates and yields are continuous and annual, times are years, volatilities annual."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, WrapValidator

from gateway.schemas import Body, ErrorInfo

MAX_CONTRACTS = 1000

Money = Annotated[float, Field(strict=True, ge=1e-8, le=1e12, allow_inf_nan=False)]
Rate = Annotated[float, Field(strict=True, ge=-1.0, le=1.0, allow_inf_nan=False)]


class _Contract(Body):
    type: Literal["call", "put"] = Field(description="Right to buy, or to sell.", examples=["call"])
    style: Literal["european", "american"] = Field(
        default="european", description="Exercise at expiry only, or at any time until then.", examples=["european"]
    )
    spot: Money = Field(description="Price of the asset now.", examples=[100.0])
    strike: Money = Field(description="Price at which it may be bought or sold.", examples=[105.0])
    rate: Rate = Field(description="Risk-free rate a year, continuously compounded, a fraction.", examples=[0.03])
    dividend_yield: Rate = Field(
        default=0.0, description="Yield of the asset a year, continuously compounded, a fraction.", examples=[0.01]
    )
    time_to_expiry: Annotated[float, Field(strict=True, ge=0.0, le=100.0, allow_inf_nan=False)] = Field(
        description="Years until expiry; 0 is now.", examples=[0.5]
    )


class OptionContract(_Contract):
    """A contract to price."""

    volatility: Annotated[float, Field(strict=True, ge=0.0, le=10.0, allow_inf_nan=False)] = Field(
        description="Volatility a year, a fraction: 0.2 is 20 %.", examples=[0.2]
    )


class OptionQuote(_Contract):
    """A contract with its price in the market."""

    price: Annotated[float, Field(strict=True, ge=0.0, le=1e15, allow_inf_nan=False)] = Field(
        description="Price of an option on one unit of the asset.", examples=[4.2]
    )


def _unchecked(value: Any, _: object) -> Any:
    return value


# Shown as a contract, but let through as it came: one bad contract must not refuse the rest of a chain.
_ChainItem = Annotated[OptionContract, WrapValidator(_unchecked)]
_QuoteItem = Annotated[OptionQuote, WrapValidator(_unchecked)]


class OptionChainRequest(Body):
    """Many contracts. Each is checked and answered on its own."""

    contracts: Annotated[list[_ChainItem], Field(min_length=1, max_length=MAX_CONTRACTS)] = Field(
        description="The contracts; the results come in the same order."
    )


class OptionQuotesRequest(Body):
    """Many contracts with their prices. Each is checked and answered on its own."""

    contracts: Annotated[list[_QuoteItem], Field(min_length=1, max_length=MAX_CONTRACTS)] = Field(
        description="The contracts; the results come in the same order."
    )


def _shape(value: Any) -> str:
    return "[chain]" if isinstance(value, dict) and "contracts" in value else "[contract]"


PriceBody = Annotated[
    Annotated[OptionContract, Tag("[contract]")] | Annotated[OptionChainRequest, Tag("[chain]")], Discriminator(_shape)
]
QuoteBody = Annotated[
    Annotated[OptionQuote, Tag("[contract]")] | Annotated[OptionQuotesRequest, Tag("[chain]")], Discriminator(_shape)
]


class Greeks(Body):
    """Derivatives of the price, for one option on one unit of the asset. Null where the price has a kink."""

    delta: float | None = Field(description="Per unit of `spot`.", examples=[0.44])
    gamma: float | None = Field(description="Per unit of `spot`, of delta.", examples=[0.028])
    vega: float | None = Field(description="Per 1.00 of `volatility`; a hundredth of it per percentage point.")
    theta: float | None = Field(description="Per year that passes; negative where the option loses value.")
    theta_per_day: float | None = Field(description="Per calendar day that passes, theta / 365.")
    rho: float | None = Field(description="Per 1.00 of `rate`; a hundredth of it per percentage point.")


class OptionPrice(Body):
    """What a contract is worth."""

    price: float = Field(ge=0, description="Of an option on one unit of the asset, in the currency of `spot`.")
    greeks: Greeks
    method: str = Field(description="How it was computed, with the accuracy of what is not in closed form.")
    unavailable: dict[str, str] = Field(description="For every Greek that is null, why.")


class ImpliedVolatilityAnswer(Body):
    """The volatility at which a contract has its price."""

    implied_volatility: float | None = Field(description="Volatility a year, a fraction; null where there is none.")
    reason: str | None = Field(description="Why there is none; null where there is one.")
    lower_bound: float = Field(ge=0, description="What the contract is worth without volatility.")
    upper_bound: float = Field(ge=0, description="What no volatility makes it worth.")
    method: str = Field(description="How it was computed.")


class PricedContract(OptionPrice):
    """A contract of a chain that was priced."""

    status: Literal[200] = Field(description="Status it would have had on its own.")


class SolvedContract(ImpliedVolatilityAnswer):
    """A contract of a chain that was solved for, or that has no volatility."""

    status: Literal[200] = Field(description="Status it would have had on its own.")


class RefusedContract(Body):
    """A contract of a chain that is not valid, or that could not be computed."""

    status: int = Field(ge=400, le=599, description="Status it would have had on its own.", examples=[422])
    error: ErrorInfo


class OptionChainResponse(Body):
    """One result for each contract, in the same order."""

    results: list[PricedContract | RefusedContract] = Field(description="Price, or the contract's own error.")


class ImpliedVolatilityChainResponse(Body):
    """One result for each contract, in the same order."""

    results: list[SolvedContract | RefusedContract] = Field(description="Volatility, or the contract's own error.")
