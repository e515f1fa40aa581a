"""The language: decorated functions, traced into a `Graph`. No I/O."""
