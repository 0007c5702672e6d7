"""How ranks reach each other: addresses, gloo groups, and batches on the wire."""
