"""What a checkpoint belongs to: texts in their order of words, labels, classes and loss."""

import pytest
from learner_toys import TINY, quiet

from ulmfit_easy.all import (
    AWD_LSTM,
    BaseTokenizer,
    CheckpointCallback,
    FocalLossFlat,
    TextDataLoaders,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.errors import FileError

DF = toy_reviews(30, seed=0)
FLIPPED = DF.label.map({"pos": "neg", "neg": "pos"})


def learner(path, vocab=None, change=None, **kwargs):
    dls = TextDataLoaders.from_df(DF.assign(**(change or {})), text_col="text", label_col="label", seed=0, min_freq=1,
                                  tok_tfm=BaseTokenizer(), bs=8, text_vocab=vocab)
    return quiet(text_classifier_learner(dls, AWD_LSTM, config=TINY, path=path, pretrained=False, **kwargs))


@pytest.mark.parametrize("other", [
    {"change": {"label": FLIPPED}}, {"change": {"label": DF.label + "2"}}, {"loss_func": FocalLossFlat()},
    {"change": {"text": [" ".join(text.split()[::-1]) for text in DF.text]}}, {"class_weight": {"pos": 9.0}},
], ids=["labels", "classes", "loss", "order of words", "class weights"])
def test_a_fit_goes_on_with_its_own_texts_labels_and_loss_only(other, tmp_path):
    first = learner(tmp_path)
    first.fit(1, 1e-2, cbs=CheckpointCallback("run"))
    vocab = first.dls.text_vocab
    with pytest.raises(FileError, match="E408"):
        learner(tmp_path, vocab, **other).fit(1, 1e-2, cbs=CheckpointCallback("run", resume=True))
    learner(tmp_path, vocab).fit(1, 2e-2, cbs=CheckpointCallback("run", resume=True))
