"""Plan and launch LLM inference on mixed GPUs, with a proved bound."""
