"""One process in front of inference servers: OpenAI's API for any agent, scheduled as programs."""
