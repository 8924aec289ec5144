"""Questions to a learner: order, shapes, modes, and answers that do not depend on how they are asked."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from learner_toys import At, classifier, lm, raises, regression, three_classes
from sklearn.metrics import f1_score, roc_auc_score

from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import TextError, TrainingError
from ulmfit_easy.fastai.metrics import RocAuc
from ulmfit_easy.learner.contexts import replaced
from ulmfit_easy.learner.metrics.common import accuracy
from ulmfit_easy.learner.metrics.sklearn_metric import F1Score
from ulmfit_easy.learner.predictor import Prediction
from ulmfit_easy.learner.text_data import TextDataLoaders


@pytest.fixture(scope="module")
def clas():
    learn = classifier(metrics=accuracy)
    learn.fit_one_cycle(2, 2e-2)
    return learn


def test_targets_losses_decisions_and_inputs_stay_with_their_rows(clas):
    inputs, probs, targets, decided, losses = clas.get_preds(with_input=True, with_decoded=True, with_loss=True)
    df = toy_reviews(n=90, seed=0)
    texts = [" ".join(clas.dls.text_vocab[i] for i in ids[:n].tolist()) for ids, n in inputs]
    known = clas.dls.text_vocab.stoi
    of_text = {" ".join(t if t in known else "xxunk" for t in clas.dls.tokenizer(text)): label
               for text, label in zip(df["text"], df["label"], strict=True)}
    assert [of_text[t] for t in texts] == [clas.dls.classes[i] for i in targets.tolist()]
    assert torch.equal(decided, probs.argmax(1))
    assert torch.allclose(losses, F.nll_loss(probs.log(), targets, reduction="none"), atol=1e-5)
    assert losses.mean().item() == pytest.approx(clas.validate()[0], abs=1e-5)


def test_the_training_set_is_asked_in_the_order_of_its_rows_though_it_is_shuffled(clas):
    dl = clas.dls.train
    expected = dl.targets
    for found in (clas.get_preds(ds_idx=0), clas.get_preds(dl=dl)):
        assert torch.equal(found[1], expected)
    again = clas.get_preds(ds_idx=0)
    assert torch.equal(found[0], again[0]) and clas.validate(ds_idx=0) == clas.validate(dl=dl)


def test_asking_does_not_change_the_next_epochs_order(clas):
    before = clas.dls.train.state_dict()
    clas.get_preds(ds_idx=0), clas.validate(ds_idx=0), clas.show_results(ds_idx=0, max_n=1)
    assert clas.dls.train.state_dict() == before


def test_predict_says_the_same_of_one_text_of_a_list_and_of_a_loader(clas):
    texts = toy_reviews(n=12, seed=5)["text"].tolist()
    probs, _ = clas.get_preds(dl=clas.dls.test_dl(texts))
    many = clas.predict(texts)
    for text, p, expected in zip(texts, many, probs, strict=True):
        label, index, one = clas.predict(text)
        assert isinstance(p, Prediction) and label == p.label == clas.dls.classes[int(index)]
        assert torch.allclose(one, expected, atol=1e-5) and torch.allclose(p.probs, expected, atol=1e-5)
        assert index == expected.argmax()
    assert [p.label for p in clas.predict(pd.Series(texts))] == [p.label for p in many]
    assert clas.predict(texts[0], with_input=True)[0] == texts[0] and clas.predict(texts[:1])[0].label == many[0].label


def test_a_row_of_a_table_is_one_text(clas):
    df = toy_reviews(n=3, seed=5)
    expected = clas.predict(df["text"][0])
    for row in (df.iloc[0], dict(df.iloc[0]), {"text": df["text"][0]}):
        assert torch.equal(clas.predict(row).probs, expected.probs)
    with pytest.raises(TextError, match="E102.*'text'"):
        clas.predict({"review": "a film", "label": "pos"})


def test_a_series_of_texts_is_no_row_of_a_table_without_names():
    df = pd.DataFrame(toy_reviews(n=60, seed=5)[["text", "label"]].to_numpy())
    learn = classifier(TextDataLoaders.from_df(df, text_col=0, label_col=1, seed=0, min_freq=1, bs=8, seq_len=10))
    assert len(learn.predict(df[0][:3])) == 3


@pytest.mark.parametrize("mode", [True, False])
def test_questions_put_the_models_mode_back(clas, mode, capsys):
    clas.model.train(mode)
    for ask in (lambda: clas.predict("good"), clas.validate, clas.get_preds, clas.show_results):
        ask()
        assert clas.model.training is mode and not clas.training
    with pytest.raises(MemoryError), clas.added_cbs(At("after_pred", raises(MemoryError()))):
        clas.get_preds()
    assert clas.model.training is mode


def test_validate_equals_the_recorder(clas):
    assert clas.validate() == pytest.approx(clas.recorder.values[-1][1:], abs=1e-6)
    probs, targets = clas.get_preds()
    assert clas.validate()[1] == pytest.approx((probs.argmax(1) == targets).float().mean().item())


def test_show_results_of_a_classifier_shows_text_target_and_prediction(clas, capsys):
    clas.show_results(max_n=3)
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["text", "label", "predicted"] and sum("xxbos" in row for row in rows) == 3
    assert all(word in ("neg", "pos") for row in rows if "xxbos" in row for word in row.split()[-2:])


def test_show_results_of_a_language_model_shows_what_came_and_what_it_guessed(capsys):
    lm().show_results(max_n=2)
    assert capsys.readouterr().out.splitlines()[0].split() == ["text", "next", "words", "predicted"]


def test_a_learner_without_data_says_what_to_pass(clas, capsys):
    empty = classifier(DataLoaders([], [], prepare=clas.dls.prepare))
    for ask in (empty.validate, empty.get_preds, empty.show_results):
        with pytest.raises(TrainingError, match=r"E506.*no training data.*dl=learn\.dls\.test_dl"):
            ask(ds_idx=0)
    assert len(empty.get_preds(dl=empty.dls.test_dl(["good", "bad"]))[0]) == 2


def test_show_results_says_what_each_target_is(clas, capsys):
    df = toy_reviews(n=4, seed=9).assign(label=["neg", "pos", "neutral", "pos"])
    with pytest.warns(UserWarning, match="none of the classes"):
        dl = clas.dls.test_dl(df, with_labels=True)
    clas.show_results(dl=dl, trunc_at=2)
    targets = [row.split()[-2] for row in capsys.readouterr().out.splitlines()[1:]]
    assert sorted(targets) == ["?", "neg", "pos", "pos"]


def multi_frame():
    df = toy_reviews(n=60, seed=1)
    return df.assign(tags=["good;short" if x == "pos" else "bad" for x in df["label"]], stars=np.arange(60) / 10)


def test_several_labels_come_as_lists_of_names():
    from ulmfit_easy.learner.text_data import TextDataLoaders
    from ulmfit_easy.text.tokenizers import BaseTokenizer

    dls = TextDataLoaders.from_df(multi_frame(), text_col="text", label_col="tags", label_delim=";", seed=0,
                                  tok_tfm=BaseTokenizer(), bs=8, min_freq=1)
    learn = classifier(dls)
    learn.fit_one_cycle(6, 3e-2)
    label, index, probs = learn.predict(multi_frame()["text"][0])
    assert label == [c for c, p in zip(dls.classes, probs, strict=True) if p > 0.5] and index.dtype == torch.bool
    probs, targets = learn.get_preds()
    assert probs.shape == targets.shape == (12, 3) and ((probs >= 0) & (probs <= 1)).all()
    learn.show_results(max_n=2)


def test_a_regression_comes_as_a_number():
    from ulmfit_easy.learner.text_data import TextDataLoaders
    from ulmfit_easy.text.tokenizers import BaseTokenizer

    dls = TextDataLoaders.from_df(multi_frame(), text_col="text", label_col="stars", y_block="regression", seed=0,
                                  tok_tfm=BaseTokenizer(), bs=8, min_freq=1)
    learn = classifier(dls, y_range=(0, 6))
    learn.fit_one_cycle(1, 1e-2)
    label, index, value = learn.predict("good film")
    assert isinstance(label, float) and 0 < label < 6 and label == pytest.approx(index.item()) == value.item()
    preds, targets = learn.get_preds()
    assert preds.shape == (12, 1) and targets.shape == (12,)
    assert learn.validate()[0] == pytest.approx((preds[:, 0] - targets).pow(2).mean().item(), rel=1e-5)


def test_labels_that_training_never_saw_count_as_wrong_and_break_nothing(clas):
    df = toy_reviews(n=20, seed=9)
    df.loc[3, "label"] = "neutral"
    with pytest.warns(UserWarning, match="none of the classes"):
        dl = clas.dls.test_dl(df, with_labels=True)
    probs, targets = clas.get_preds(dl=dl)
    assert targets[3] < 0 and clas.validate(dl=dl)[1] == pytest.approx((probs.argmax(1) == targets).float().mean())
    clas.show_results(dl=dl, max_n=20)
    with replaced(clas, [clas], "metrics", [RocAuc(), F1Score(average="macro")]):
        _, auc, f1 = clas.validate(dl=dl)
    rows = targets >= 0
    assert auc == pytest.approx(roc_auc_score(targets[rows], probs[rows, 1]))
    assert f1 == pytest.approx(f1_score(targets, probs.argmax(1), labels=[0, 1], average="macro"))


def test_plain_nets_answer_too():
    learn = three_classes(metrics=accuracy)
    learn.fit(3, 0.1)
    probs, targets = learn.get_preds()
    assert torch.allclose(probs.sum(1), torch.ones(48))
    assert learn.validate()[1] == pytest.approx((probs.argmax(1) == targets).float().mean().item())
    preds, _ = regression().get_preds()
    assert preds.shape == (32, 1)
    raw, _ = learn.get_preds(act=lambda x: x)
    assert torch.allclose(raw.softmax(1), probs)


def test_on_a_cpu_bf16_leaves_predictions_exact():
    learn = classifier()
    full, _ = learn.get_preds()
    assert torch.equal(learn.to_bf16().get_preds()[0], full)


def test_a_text_of_several_fields_is_asked_as_a_tuple_or_a_table():
    from ulmfit_easy.errors import TextError
    from ulmfit_easy.learner.text_data import TextDataLoaders
    from ulmfit_easy.text.tokenizers import BaseTokenizer

    df = pd.DataFrame({"title": ["good", "bad"] * 8, "body": ["one", "two"] * 8, "label": [1, 0] * 8})
    learn = classifier(TextDataLoaders.from_df(df, text_col=["title", "body"], label_col="label", min_freq=1, bs=4,
                                               tok_tfm=BaseTokenizer(), seed=0))
    alone = learn.predict(("good", "two"))
    table = pd.DataFrame({"body": ["two"], "title": ["good"]})
    for several in (learn.predict([("good", "two")]), learn.predict(table)):
        assert len(several) == 1 and torch.equal(several[0].probs, alone.probs)
    for wrong in ("good two", ["good two"], [("good",)]):
        with pytest.raises(TextError, match="E102.*title, body"):
            learn.predict(wrong)


def test_class_names_may_hold_anything(capsys, tmp_path):
    from ulmfit_easy.learner.text import load_learner
    from ulmfit_easy.learner.text_data import TextDataLoaders
    from ulmfit_easy.text.tokenizers import BaseTokenizer

    names = ["a/b", "../up", "<b>bold</b>", "two\nlines", "$x$"]
    rows = [(f"word{i % 5} and more", names[i % 5]) for i in range(40)]
    df = pd.DataFrame(rows, columns=["text", "label"])
    learn = classifier(TextDataLoaders.from_df(df, min_freq=1, bs=8, tok_tfm=BaseTokenizer(), seed=0), path=tmp_path)
    learn.show_results()
    assert learn.dls.classes == sorted(names) == load_learner(learn.export("odd names")).dls.classes
    assert learn.predict("word1 and more").label in names
    assert [p.name for p in tmp_path.iterdir()] == ["odd names"]


@pytest.mark.parametrize("item", [5, None, float("nan"), ["fine", 5]])
def test_what_is_no_text_is_e101(clas, item):
    with pytest.raises(TextError, match="E101"):
        clas.predict(item)
