"""`python -m pilotlight`."""

from pilotlight.cli import main

main()
