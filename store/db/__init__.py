"""The database: its engines, the group-committing writer, the tables and their migrations."""
