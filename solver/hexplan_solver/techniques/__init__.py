"""Published techniques in a finished plan: switched on where asked, or where they pay."""
