"""Below HTTP: connections, and what the system allows of them."""
