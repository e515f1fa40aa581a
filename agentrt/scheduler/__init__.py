"""Events in, actions out: pure decisions, no I/O and no clock."""
