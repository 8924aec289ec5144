"""A wing: what only a user of fastai looks for. Nothing else in the library imports it, but the notebook's door."""
