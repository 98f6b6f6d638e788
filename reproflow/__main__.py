"""`python -m reproflow` is the command line."""

from reproflow.cli import main

main()
