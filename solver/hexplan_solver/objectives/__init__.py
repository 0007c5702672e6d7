"""What a plan is made for (docs/formulation.md 9): one planner for each objective."""
