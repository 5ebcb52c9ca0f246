"""The tables, the same on SQLite and PostgreSQL. ``migrations`` makes them; a test holds the two together.

Instants are whole microseconds since 1970 UTC: exact, sortable, and the same on both.
"""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()
_PENDING = sa.text("state = 'pending'")

FORECASTS = sa.Table(
    "forecasts",
    METADATA,
    sa.Column("forecast_id", sa.String(64), primary_key=True),
    sa.Column("symbol", sa.String(15), nullable=False),
    sa.Column("timeframe", sa.String(2), nullable=False),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("horizon", sa.Integer, nullable=False),
    sa.Column("target_date", sa.Date, nullable=False),
    sa.Column("current_price", sa.Double, nullable=False),
    sa.Column("currency", sa.String(8)),
    sa.Column("price_target", sa.Double, nullable=False),
    sa.Column("expected_return", sa.Double, nullable=False),
    sa.Column("direction", sa.String(8), nullable=False),
    sa.Column("probability_up", sa.Double, nullable=False),
    sa.Column("confidence", sa.Double, nullable=False),
    sa.Column("confidence_level", sa.Double, nullable=False),
    sa.Column("lower", sa.Double, nullable=False),
    sa.Column("upper", sa.Double, nullable=False),
    sa.Column("quantiles", sa.JSON, nullable=False),
    sa.Column("members", sa.JSON, nullable=False),
    sa.Column("models_version", sa.String(64), nullable=False),
    sa.Column("provider", sa.String(32), nullable=False),
    sa.Column("fingerprint", sa.String(80), nullable=False),
    sa.Column("degraded", sa.JSON, nullable=False),
    sa.Column("state", sa.String(12), nullable=False, server_default="pending"),
    sa.Column("reason", sa.String(200)),
    sa.Column("settled_at", sa.BigInteger),
    sa.Column("realised_date", sa.Date),
    sa.Column("bars_ahead", sa.Integer),
    sa.Column("realised_price", sa.Double),
    sa.Column("realised_return", sa.Double),
    sa.Column("error", sa.Double),
    sa.Column("inside_interval", sa.Boolean),
    sa.Column("pinball", sa.Double),
    sa.Column("pinball_random_walk", sa.Double),
    sa.Index("forecasts_of_symbol", "symbol", "made_at", "forecast_id"),
    sa.Index("forecasts_by_age", "made_at"),
    sa.Index(
        "forecasts_pending", "symbol", "timeframe", "target_date", sqlite_where=_PENDING, postgresql_where=_PENDING
    ),
)

OUTCOMES = sa.Table(
    # One row a model and a day of a symbol, however often that forecast was made: what scores are counted from.
    "outcomes",
    METADATA,
    sa.Column("symbol", sa.String(15), primary_key=True),
    sa.Column("timeframe", sa.String(2), primary_key=True),
    sa.Column("horizon", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("as_of", sa.Date, primary_key=True),
    sa.Column("models_version", sa.String(64), primary_key=True),
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("members", sa.String(500), primary_key=True),
    sa.Column("error", sa.Double, nullable=False),
    sa.Column("random_walk_error", sa.Double, nullable=False),
    sa.Column("inside_50", sa.Integer),
    sa.Column("inside_90", sa.Integer),
    sa.Column("pinball", sa.Double),
    sa.Column("pinball_random_walk", sa.Double),
    sa.Column("settled_at", sa.BigInteger, nullable=False),
    sa.Index("outcomes_of_models", "models_version", "horizon", "model"),
    sa.Index("outcomes_by_age", "settled_at"),
)

LEASES = sa.Table(
    # Who does a piece of regular work: one gateway at a time.
    "leases",
    METADATA,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
)
