"""Every promise of the ``Store`` port, from all the modules of checks."""

from tests.contracts import access, checks, letters, linked, lists, people, webhooks

CHECKS = checks.CHECKS
"""Filled while the modules are imported."""
MODULES = (checks, people, letters, lists, access, webhooks, linked)
