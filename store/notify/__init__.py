"""How a commit wakes gateways: datagrams on one machine, LISTEN/NOTIFY on PostgreSQL."""
