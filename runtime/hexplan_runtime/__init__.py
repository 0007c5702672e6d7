"""The runtime: it turns a plan into tokens, with one process for each device of each stage."""
