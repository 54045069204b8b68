"""``longrun dev``: everything as child processes over one folder."""
