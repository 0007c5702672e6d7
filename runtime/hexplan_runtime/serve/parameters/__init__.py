"""Parameters: what clients ask of the next tokens, checked field by field."""
