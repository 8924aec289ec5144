"""Stage 1 over files: a plan, what it starts from, its data, its progress, and the run."""
