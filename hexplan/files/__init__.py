"""Files as data: read within bounds, parsed strictly, and written whole or not at all."""
