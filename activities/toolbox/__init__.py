"""The tools that runs may call, and their registry."""
