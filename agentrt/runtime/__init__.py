"""The shell: performs what the pure layers decide, on real time."""

from agentrt.runtime.results import RunResult
from agentrt.runtime.run import Run
from agentrt.runtime.runtime import Runtime, run
from agentrt.runtime.scheduling import Scheduling

__all__ = ["Run", "RunResult", "Runtime", "Scheduling", "run"]
