"""What commands for plans across machines show: findings, dry runs, and running launches."""
