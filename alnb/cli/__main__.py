"""``python -m alnb.cli``: the command line, where the command ``alnb`` may not be on the path."""

from alnb.cli import main

main()
