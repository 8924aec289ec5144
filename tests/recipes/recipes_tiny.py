"""A preset and data that a test can afford: a whole fit in under a second."""

from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.recipes.presets import Phase, Preset

TINY = Preset(
    name="tiny",
    source="these tests",
    config={"emb_sz": 16, "n_hid": 24, "n_layers": 2},
    pretrain=(Phase(1, 2e-2),),
    lm=(Phase(1, 1e-2, freeze_to=-1),),
    clas=(Phase(1, 2e-2, freeze_to=-1), Phase(1, 1e-2, factor=2.6)),
    pool_words=True,
    min_freq=1,
    seq_len=16,
    lm_bs=8,
    clas_bs=16,
)
DF = toy_reviews(n=120, seed=0)
TEXTS, LABELS = DF["text"].tolist(), DF["label"].tolist()
