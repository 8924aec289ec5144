import re

import numpy as np
import pytest
import torch
from interpret_toys import classifier, counted, data, several_labels

from ulmfit_easy.apps import interpret
from ulmfit_easy.apps.interpret import ClassificationInterpretation, Interpretation
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner.learner import Learner
from ulmfit_easy.learner.losses import CrossEntropyLossFlat
from ulmfit_easy.learner.text import language_model_learner
from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.viz import html_table


@pytest.fixture(scope="module")
def learn():
    learn = classifier(data(label_col="topic"))
    learn.fit(2, 1e-2)
    return learn


@pytest.fixture
def shown(monkeypatch):
    tables = []
    monkeypatch.setattr(interpret, "show_table", lambda rows, columns: tables.append((rows, columns)))
    return tables


def plain_answers(learn, dl):
    """Logits and targets of a loader, row by row, each text alone."""
    learn.model.eval()
    texts = [torch.tensor(dl.ids[row].astype("int64")).unsqueeze(0) for row in dl.rows]  # (1, T) each
    with torch.no_grad():
        return torch.cat([learn.model(ids, torch.tensor([ids.shape[1]])).logits for ids in texts]), dl.targets


def test_everything_comes_from_one_pass(learn, shown, capsys):
    read = counted(learn)
    interp = ClassificationInterpretation.from_learner(learn)
    interp.confusion_matrix(), interp.most_confused(), interp.top_losses(3), interp.plot_top_losses(3)
    interp.show_results([0, 1]), interp.print_classification_report(), interp.plot_confusion_matrix()
    assert sum(read) == learn.dls.valid.n_rows


def test_losses_and_decisions_are_those_of_each_text_alone_in_the_order_of_the_rows(learn):
    interp = Interpretation.from_learner(learn)
    logits, targs = plain_answers(learn, learn.dls.valid)
    losses = torch.nn.functional.cross_entropy(logits, targs, reduction="none")
    torch.testing.assert_close(interp.losses, losses, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(interp.preds, logits.softmax(1), atol=1e-5, rtol=1e-4)
    assert torch.equal(interp.decoded, logits.argmax(1)) and torch.equal(interp.targs, targs)
    assert interp.rows.tolist() == learn.dls.valid.rows.tolist()


def test_top_losses_are_the_largest_or_the_smallest_with_their_texts(learn):
    interp = Interpretation.from_learner(learn)
    losses, idxs, texts = interp.top_losses(4, items=True)
    assert losses.tolist() == sorted(interp.losses.tolist(), reverse=True)[:4]
    assert torch.equal(interp.losses[idxs], losses)
    df = toy_reviews(120, seed=0)
    for i, text in zip(idxs.tolist(), texts, strict=True):
        words = df["text"].iloc[interp.rows[i]].lower().split()
        kept = [w for w in text.split() if w == "xxunk" or not w.startswith("xx")]
        assert text.startswith("xxbos") and len(kept) == len(words)
        assert all(a in (b, "xxunk") for a, b in zip(kept, words, strict=True))
    smallest, _ = interp.top_losses(2, largest=False)
    assert smallest.tolist() == sorted(interp.losses.tolist())[:2]
    assert len(interp.top_losses()[0]) == len(interp.top_losses(10**6)[0]) == len(interp.losses)


def test_the_table_of_top_losses_says_which_row_what_and_how_sure(learn, shown):
    interp = Interpretation.from_learner(learn)
    interp.plot_top_losses(2, trunc_at=5)
    (rows, columns), i = shown[0], int(interp.top_losses(1)[1])
    classes = learn.dls.classes
    assert columns == ["row", "text", "label", "predicted", "probability", "loss"] and len(rows) == 2
    assert rows[0][0] == interp.rows[i]
    words = toy_reviews(120, seed=0)["text"].iloc[rows[0][0]].lower().split()
    *shown_words, mark = rows[0][1].lower().split()
    assert 0 < len(shown_words) <= 5 and shown_words == words[:len(shown_words)] and mark == "\u2026"
    assert rows[0][2:4] == [classes[interp.targs[i]], classes[interp.decoded[i]]]
    assert rows[0][4:] == [interp.preds[i].max().item(), interp.losses[i].item()]


def test_results_are_shown_at_the_positions_asked_for(learn, shown):
    interp = Interpretation.from_learner(learn)
    interp.show_results(torch.tensor([3, 1]))
    (rows, columns), = shown
    assert columns == ["row", "text", "label", "predicted"]
    assert [row[0] for row in rows] == interp.rows[[3, 1]].tolist()


def test_the_confusion_matrix_counts_actual_by_predicted(learn):
    interp = ClassificationInterpretation.from_learner(learn, ds_idx=0)
    matrix, n = interp.confusion_matrix(), len(learn.dls.classes)
    want = np.zeros((n, n), int)
    for t, d in zip(interp.targs.tolist(), interp.decoded.tolist(), strict=True):
        want[t, d] += 1
    assert (matrix == want).all() and matrix.sum() == learn.dls.train.n_rows and interp.vocab == learn.dls.classes


def test_the_most_confused_are_the_largest_cells_off_the_diagonal(learn, monkeypatch):
    interp = ClassificationInterpretation.from_learner(learn)
    a, b, c, d = interp.vocab
    matrix = np.array([[9, 0, 5, 0], [1, 8, 0, 0], [0, 0, 7, 0], [0, 3, 0, 1]])
    monkeypatch.setattr(interp, "confusion_matrix", matrix.copy)
    assert interp.most_confused() == [(a, c, 5), (d, b, 3), (b, a, 1)]
    assert [f"{one.label} {one.predicted} {one.count}" for one in interp.most_confused()][0] == f"{a} {c} 5"
    assert interp.most_confused(min_val=3) == [(a, c, 5), (d, b, 3)]


def test_the_report_is_scikit_learns_with_our_names(learn, capsys):
    from sklearn.metrics import classification_report

    interp = ClassificationInterpretation.from_learner(learn)
    interp.print_classification_report()
    want = classification_report(interp.targs, interp.decoded, labels=range(4), target_names=interp.vocab,
                                 zero_division=0)
    assert capsys.readouterr().out.strip() == want.strip()


@pytest.mark.parametrize("normalize", [False, True])
def test_the_picture_has_a_number_in_each_cell(learn, normalize):
    interp = ClassificationInterpretation.from_learner(learn)
    matrix = interp.confusion_matrix()
    ax = interp.plot_confusion_matrix(normalize=normalize, norm_dec=1)
    share = matrix / matrix.sum(1, keepdims=True)
    want = [f"{v:.1f}" for v in share.flatten()] if normalize else [str(v) for v in matrix.flatten()]
    assert [t.get_text() for t in ax.texts] == want
    assert [t.get_text() for t in ax.get_xticklabels()] == interp.vocab
    assert not interp.plot_confusion_matrix(plot_txt=False, title="T", cmap="Greens").texts


def test_labels_that_are_no_class_count_nowhere(learn):
    df = toy_reviews(20, seed=3)
    df.loc[:4, "topic"] = "unheard"
    with pytest.warns(UserWarning, match="unheard"):
        dl = learn.dls.test_dl(df, with_labels=True)
    interp = ClassificationInterpretation.from_learner(learn, dl=dl)
    assert interp.confusion_matrix().sum() == 15 and len(interp.losses) == 20


def test_texts_whose_labels_are_all_unknown_say_nothing_of_the_classes(learn):
    with pytest.warns(UserWarning, match="unheard"):
        dl = learn.dls.test_dl(toy_reviews(4, seed=3).assign(topic="unheard"), with_labels=True)
    interp = ClassificationInterpretation.from_learner(learn, dl=dl)
    for ask in (interp.confusion_matrix, interp.most_confused, interp.print_classification_report):
        with pytest.raises(TrainingError, match="E506.*none with a label"):
            ask()


def test_texts_with_several_labels_have_a_small_matrix_for_each_class(shown, capsys):
    learn = classifier(data(several_labels(), label_delim=";"))
    interp = ClassificationInterpretation.from_learner(learn)
    matrix, truth, said = interp.confusion_matrix(), interp.targs.bool(), interp.decoded.bool()
    assert matrix.shape == (len(learn.dls.classes), 2, 2)
    assert matrix[1].tolist() == [[int((~truth & ~said)[:, 1].sum()), int((~truth & said)[:, 1].sum())],
                                  [int((truth & ~said)[:, 1].sum()), int((truth & said)[:, 1].sum())]]
    assert [ax.get_title() for ax in interp.plot_confusion_matrix()] == learn.dls.classes
    interp.plot_top_losses(1), interp.print_classification_report()
    assert isinstance(shown[0][0][0][4], list) and "samples avg" in capsys.readouterr().out
    with pytest.raises(TrainingError, match="E506"):
        interp.most_confused()


def test_a_regression_has_losses_but_no_classes(shown):
    df = toy_reviews(60, seed=0)
    learn = classifier(data(df.assign(label=[i / 7 for i in range(60)]), y_block="regression"))
    interp = Interpretation.from_learner(learn)
    interp.plot_top_losses(1)
    i = int(interp.top_losses(1)[1])
    assert shown[0][1] == ["row", "text", "label", "predicted", "loss"]
    assert shown[0][0][0][4] == pytest.approx((interp.preds[i] - interp.targs[i]).pow(2).item())
    with pytest.raises(TrainingError, match="E506"):
        ClassificationInterpretation.from_learner(learn)


def test_another_activation_gives_other_probabilities(learn):
    interp = Interpretation.from_learner(learn, act=lambda logits: logits * 0)
    assert interp.preds.abs().max() == 0 and interp.losses.max() > 0


def test_labels_are_needed_and_a_language_model_is_refused(learn):
    with pytest.raises(TrainingError, match="E506"):
        Interpretation.from_learner(learn, dl=learn.dls.test_dl(["no label"]))
    lm = language_model_learner(data(is_lm=True, seq_len=10), AWD_LSTM, config=dict(emb_sz=8, n_hid=12, n_layers=2),
                                pretrained=False, verbose=False)
    with pytest.raises(TrainingError, match="E506"):
        Interpretation.from_learner(lm)


def test_plain_loaders_have_losses_and_a_matrix_but_no_texts_to_show():
    torch.manual_seed(0)
    rows = list(zip(torch.randn(12, 4), torch.arange(12) % 3, strict=True))
    dls = DataLoaders(torch.utils.data.DataLoader(rows, 4), torch.utils.data.DataLoader(rows, 4))
    interp = ClassificationInterpretation(Learner(dls, torch.nn.Linear(4, 3), loss_func=CrossEntropyLossFlat()))
    assert len(interp.top_losses(5)[0]) == 5 and interp.confusion_matrix().sum() == 12
    for show in (interp.plot_top_losses, lambda k: interp.show_results(range(k)),
                 lambda k: interp.top_losses(k, items=True)):
        with pytest.raises(TrainingError, match="E506.*plain loader"):
            show(2)


def test_one_label_that_may_be_there_or_not_has_one_small_matrix():
    interp = object.__new__(ClassificationInterpretation)  # scikit-learn takes one column of flags for two classes
    interp.vocab, interp.targs = ["spam"], torch.tensor([[1.0], [0.0], [1.0]])
    interp.decoded = torch.tensor([[True], [True], [False]])
    assert interp.confusion_matrix().tolist() == [[[0, 1], [1, 1]]]


def test_hostile_texts_and_class_names_are_only_text(shown, capsys, learn):
    df = toy_reviews(40, seed=0)
    df["text"] = ["<script>alert(1)</script> $x$ \\(y\\) " + t for t in df["text"]]
    df["label"] = df["label"].map({"pos": "<img src=x>$a$\x1b[31m", "neg": "$\\bad{$"})
    interp = ClassificationInterpretation.from_learner(classifier(data(df)))
    interp.plot_top_losses(3)
    html = html_table(*shown[0])
    assert "<script" not in html and "<img" not in html and not re.search(r"[$\\]", re.sub("<span>.</span>", "", html))
    interp.plot_confusion_matrix().figure.canvas.draw()  # a formula that is none would raise here
    interp.print_classification_report()
    assert "\x1b" not in capsys.readouterr().out
