"""Heads, which read the states of an encoder. Each file has one kind."""
