"""Measures coverage inside pytest-xdist's workers (`-p tests.worker_coverage`).

Only there: processes that the tests start stay unmeasured, so that tests which look at a process's
memory or imports see the process a user would see.
"""

import atexit
import os

import coverage

if "PYTEST_XDIST_WORKER" in os.environ:
    _measurement = coverage.Coverage(data_suffix=True)
    _measurement.start()

    @atexit.register
    def _save() -> None:
        _measurement.stop()
        _measurement.save()
