"""Callbacks, which act around the loop. Each file has those of one kind."""
