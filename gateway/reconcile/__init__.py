"""Repair, every second: start accepted runs, deliver signals, end runs whose workflow has closed."""
