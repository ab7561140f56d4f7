"""`python -m ved.cli`: the same as the command `ved`."""

from ved.cli.main import main

main()
