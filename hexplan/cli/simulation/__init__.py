"""Parts of the `simulate` command."""
