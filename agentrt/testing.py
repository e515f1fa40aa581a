"""Public stand-ins, for testing agents without a model and without waiting.

A test of an agent, say:

    from agentrt.testing import ScriptedBackend, VirtualClock

    def test_the_answer_quotes_the_passage() -> None:
        runtime = Runtime(ScriptedBackend({"answer": "blue"}), clock=VirtualClock())
        assert runtime.run_sync(research, "Which colour?") == "blue"
"""

from agentrt.backends.recording import RecordingBackend, ReplayBackend
from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock

__all__ = ["RecordingBackend", "ReplayBackend", "ScriptedBackend", "VirtualClock"]
