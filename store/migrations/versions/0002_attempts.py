"""Attempts, and under whose name a step's text stands."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the table; until now every attempt asked anew."""
    op.create_table(
        "attempts",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("provider", sa.String(), nullable=True),
        sa.Column("response_id", sa.String(), nullable=True),
        sa.Column("provider_cursor", sa.Integer(), nullable=True),
        sa.Column("provider_state", sa.Text(), nullable=True),
        sa.Column("tokens_in", sa.Integer(), nullable=True),
        sa.Column("tokens_out", sa.Integer(), nullable=True),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("recovered", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "step", "call_id", "attempt"),
    )
    op.add_column("steps", sa.Column("asked", sa.Integer(), nullable=False, server_default="1"))
    op.execute("UPDATE steps SET asked = attempt")


def downgrade() -> None:
    """Forget them."""
    op.drop_column("steps", "asked")
    op.drop_table("attempts")
