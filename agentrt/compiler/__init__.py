"""`Graph` -> `Plan`: one pass per file, lint after each. No I/O."""
