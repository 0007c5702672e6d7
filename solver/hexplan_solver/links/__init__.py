"""From a placement that ignores links to one that suits them."""
