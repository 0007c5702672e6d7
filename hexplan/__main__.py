"""Run the command line as `python -m hexplan`."""

from hexplan.cli import main

main()
