"""Rules about the figures that a plan states about itself."""
