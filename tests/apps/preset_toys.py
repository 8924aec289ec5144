"""A preset whose models train in a second."""

from ulmfit_easy.recipes.presets import Phase, Preset

TINY = Preset("laptop", "these tests", config={"emb_sz": 16, "n_hid": 16, "n_layers": 1},
              pretrain=(Phase(1, 2e-2),), lm=(Phase(1, 2e-2),), clas=(Phase(1, 2e-2),), min_freq=1, seq_len=16,
              lm_bs=8, clas_bs=16)
