"""A masked language model from scratch on files, and as stage 2 of the recipe."""

import pandas as pd
import pytest
import torch

from ulmfit_easy.all import TextDataLoaders, load_learner, text_classifier_learner, toy_reviews
from ulmfit_easy.bundle.artefact import load_bundle
from ulmfit_easy.data.toy import toy_texts
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.pretrained import read_lm
from ulmfit_easy.models.transformer import Transformer
from ulmfit_easy.recipes.corpus import monitor
from ulmfit_easy.recipes.corpus.plan import Plan
from ulmfit_easy.recipes.corpus.run import pretrain_corpus
from ulmfit_easy.recipes.evaluate import evaluate_lm
from ulmfit_easy.recipes.stages import classifier_data, finetune_lm, lm_data, new_classifier, new_lm

pytest.importorskip("transformers", reason="needs the package transformers: pip install -e '.[hf]'")
TINY = dict(objective="mlm", emb=8, hid=8, layers=1, bs=8, seq_len=20, min_freq=1, softmax="full")


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """Files of texts, the figures of a model of them, and its folder."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "a.txt").write_text("\n\n".join(toy_texts(60, 0)))
    return folder / "a.txt", pretrain_corpus([folder / "a.txt"], folder / "mlm", **TINY), folder / "mlm"


def test_a_small_bert_is_made_that_fills_masks(pretrained):
    _, score, folder = pretrained
    learn = load_learner(folder)
    assert type(learn.encoder) is Transformer and learn.encoder.settings["body"]["hidden_size"] == 8
    assert 1 < score.perplexity < len(learn.dls.text_vocab) and 0 <= score.accuracy < 1 and score.n_tokens > 20
    assert len(learn.predict("the [MASK] was good").tokens[0]) == 5
    assert f"perplexity: {score.perplexity:.2f}" in (folder / "README.md").read_text()
    with pytest.raises(ArgumentError, match="E603"):
        evaluate_lm(learn, ["a text"])


@pytest.mark.slow
def test_the_next_sentence_is_learned_too_and_its_figure_is_told(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("\n\n".join(" ".join(toy_texts(4, i)) for i in range(40)))
    score = pretrain_corpus([tmp_path / "a.txt"], tmp_path / "out", **TINY | dict(objective="mlm+nsp"))
    assert 0 <= score.others["next_sentence_accuracy"] <= 1 and "next sentence accuracy 0." in str(score)
    told, card = capsys.readouterr().out, (tmp_path / "out" / "README.md").read_text()
    assert "  loss " in told and f"valid perplexity {score.perplexity:.2f}" in told and "next sentence accuracy" in card


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_weights(pretrained, tmp_path, monkeypatch):
    class Crash(Exception):
        pass

    def after_batch(self):
        if self.training and self.train_iter == 5:
            raise Crash
        whole(self)

    whole = monitor.RunProgress.after_batch
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(monitor.RunProgress, "after_batch", after_batch)
        pretrain_corpus([pretrained[0]], tmp_path / "mlm", minutes=0, **TINY)
    assert pretrain_corpus(out=tmp_path / "mlm", resume=True) == pretrained[1]
    ours, theirs = (load_bundle(folder).weights for folder in (tmp_path / "mlm", pretrained[2]))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_stage_2_goes_on_with_it_and_a_classifier_after_it(pretrained):
    texts, found = toy_reviews(40), read_lm(pretrained[2])
    dls = lm_data(texts["text"], pretrained=found, seed=0, cache_dir=False)
    lm = finetune_lm(new_lm(dls, pretrained=found, verbose=False))
    assert dls.task == "mlm" and lm.opt.frozen_idx == 0 and len(lm.recorder.values[0]) == 4
    clas = new_classifier(classifier_data(texts, lm=lm, seed=0, cache_dir=False), lm=lm, verbose=False)
    assert all(map(torch.equal, clas.encoder.state_dict().values(), lm.encoder.state_dict().values()))


def test_a_folder_of_it_brings_its_vocabulary_and_mask(pretrained, tmp_path):
    df = pd.DataFrame({"text": toy_texts(20, 3)})
    dls = TextDataLoaders.from_df(df, tmp_path, text_col="text", is_lm=True, pretrained=pretrained[2], bs=4, seed=0)
    assert dls.task == "mlm" and dls.text_vocab.specials["mask"] == "[MASK]"
    labelled = TextDataLoaders.from_df(toy_reviews(20), tmp_path, text_col="text", label_col="label", bs=4, seed=0,
                                       pretrained=pretrained[2])
    learn = text_classifier_learner(labelled, Transformer, verbose=False)
    assert torch.equal(learn.encoder.blocks[0].output.dense.weight,
                       load_bundle(pretrained[2]).weights["0.body.encoder.layer.0.output.dense.weight"])


@pytest.mark.parametrize(("settings", "task", "arch"), [
    ({}, "lm", "AWD_LSTM"), (dict(objective="mlm"), "mlm", "Transformer"),
    (dict(objective="mlm+nsp"), "mlm+nsp", "Transformer"), (dict(objective="bilm"), "bilm", "ELMo"),
    (dict(arch="elmo"), "bilm", "ELMo"), (dict(arch="transformer"), "mlm", "Transformer"),
    (dict(arch="awd_qrnn", objective="lm"), "lm", "AWD_QRNN")], ids=str)
def test_an_objective_chooses_the_encoder_and_an_encoder_the_objective(settings, task, arch):
    plan = Plan(corpus="c", **settings)
    assert (plan.task, plan.encoder.__name__) == (task, arch)


@pytest.mark.parametrize(("settings", "said"), [
    (dict(objective="nsp"), "E602.*objective='nsp'"), (dict(objective="mlm", arch="awd_lstm"), "E603.*AWD_LSTM"),
    (dict(objective="lm", arch="transformer"), "E603.*Transformer"),
    (dict(objective="mlm", pretrained="folder"), "E603.*objective=mlm")], ids=str)
def test_an_objective_that_does_not_fit_is_refused(settings, said):
    with pytest.raises(ArgumentError, match=said):
        Plan(corpus="c", **settings)
