"""Optimizers over layer groups, and the curves that their rates follow."""
