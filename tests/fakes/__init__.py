"""Worlds that misbehave on purpose, each at a port."""
