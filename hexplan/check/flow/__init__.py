"""Rules about what flows between stages: edges, routes, and the certificate."""
