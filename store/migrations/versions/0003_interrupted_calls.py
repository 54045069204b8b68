"""Calls that were interrupted, and results that are too large for a message."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make room for them."""
    op.create_table(
        "blobs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.add_column("calls", sa.Column("asked", sa.Integer(), nullable=True))
    op.add_column("approvals", sa.Column("interrupted", sa.String(), nullable=True))


def downgrade() -> None:
    """Forget them."""
    op.drop_column("approvals", "interrupted")
    op.drop_column("calls", "asked")
    op.drop_table("blobs")
