"""The options that say which requests run next."""
