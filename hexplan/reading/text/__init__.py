"""The files as written, field by field: short forms are kept, quantities are read."""
