"""Ways to run a rank's layers: its own or those of transformers, one by one or as graphs."""
