"""The command line. Tables for people, ``--json`` for programs.

Exit codes: 0 done, 1 refused, 2 the command itself was wrong, 3 something was
found to be broken.
"""
