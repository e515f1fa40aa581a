"""agentrt: an agent-workflow runtime that schedules whole programs, not single LLM requests."""
