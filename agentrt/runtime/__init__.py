"""The shell: performs what the pure layers decide, on real time."""
