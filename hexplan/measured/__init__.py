"""What was measured on real machines, and how it differs from what a spec or a plan says."""
