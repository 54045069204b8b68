"""The rules of a run, one idea a module. Values in, values out: no rule awaits, reads a clock or keeps state."""
