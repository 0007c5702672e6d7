"""Commands that show plans: side by side, or as pictures."""
