"""What every process uses: settings, the clock, ids, failpoints, the connection to Temporal. A leaf."""
