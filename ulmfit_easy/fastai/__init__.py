"""A wing: what only a user of fastai looks for. Only `ulmfit_easy.all` imports it."""
