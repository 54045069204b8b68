"""The links of a run's chain, and the resets that took back a part of its log."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make room for them; a run that is under way gets its link with its next activity."""
    op.add_column("runs", sa.Column("links", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("reopened", sa.Text(), nullable=True))


def downgrade() -> None:
    """Forget them."""
    op.drop_column("runs", "reopened")
    op.drop_column("runs", "links")
