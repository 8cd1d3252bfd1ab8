"""The rules. Values in, a new value or a named refusal out.

Standard library only: no clock, no chance, no I/O, no logging. Called by the
use cases; knows nobody else.
"""
