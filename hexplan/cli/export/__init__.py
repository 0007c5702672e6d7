"""The command that writes a plan for other engines and tools."""
