"""Forecasts, outcomes and leases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_PENDING = sa.text("state = 'pending'")


def upgrade() -> None:
    op.create_table(
        "forecasts",
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
    )
    op.create_table(
        "outcomes",
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
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("forecasts_of_symbol", "forecasts", ["symbol", "made_at", "forecast_id"])
    op.create_index("forecasts_by_age", "forecasts", ["made_at"])
    op.create_index(
        "forecasts_pending",
        "forecasts",
        ["symbol", "timeframe", "target_date"],
        sqlite_where=_PENDING,
        postgresql_where=_PENDING,
    )
    op.create_index("outcomes_of_models", "outcomes", ["models_version", "horizon", "model"])
    op.create_index("outcomes_by_age", "outcomes", ["settled_at"])


def downgrade() -> None:
    op.drop_table("leases")
    op.drop_table("outcomes")
    op.drop_table("forecasts")
