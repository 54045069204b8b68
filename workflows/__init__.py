"""What a run is: pure code that Temporal can replay."""
