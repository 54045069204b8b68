"""The native HTTP API: agents, runs, their streams and approvals."""
