"""The commands and options for plans whose hosts are machines of their own."""
