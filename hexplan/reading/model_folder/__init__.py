"""A model's sizes from the config.json of a Hugging Face folder, without torch."""
