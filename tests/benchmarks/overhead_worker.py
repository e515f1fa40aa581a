"""One measurement in a process of its own: `python -m tests.benchmarks.overhead_worker JSON`.

Reads what to measure from its argument and prints one line of JSON.
"""

from __future__ import annotations

import importlib
import json
import sys


def main(argument: str) -> None:
    task = json.loads(argument)
    # Imported by name: a process must not pay for what it does not measure.
    module = importlib.import_module(f"tests.benchmarks.overhead_{task['measure']}")
    sys.stdout.write(json.dumps(module.measured(task)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
