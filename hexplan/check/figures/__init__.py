"""Rules on the figures that a plan states about itself."""
