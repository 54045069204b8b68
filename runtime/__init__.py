"""What every process stands on: settings, the clock, ids, failpoints, the connection to Temporal. A leaf."""
