"""Policies, one file each. `BY_NAME` is what `--policy` takes."""
