"""What commands answer beside a plan: explanations, replans, outcomes of simulations."""
