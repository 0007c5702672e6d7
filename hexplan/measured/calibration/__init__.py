"""Compare the times that a plan predicts with those of a launch, and fit corrections."""
