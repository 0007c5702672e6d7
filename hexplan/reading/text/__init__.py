"""The files as people write them, field by field; quantities are read into SI units."""
