"""The server: an OpenAI-compatible HTTP endpoint in front of a running plan."""
