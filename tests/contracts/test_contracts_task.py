"""A task that the library does not know: a file for its target, a file for its head, and a row."""

import ast
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from package_source import modules
from sklearn.metrics import f1_score, roc_auc_score
from toy_head import ToyHead
from toy_task import TOY

from ulmfit_easy.all import (
    AWD_LSTM,
    BaseTokenizer,
    F1Score,
    RocAuc,
    TextDataLoaders,
    Tokenizer,
    accuracy,
    class_weights,
    ensemble,
    explain,
    load_learner,
    load_predictor,
    text_classifier_learner,
    top_k_accuracy,
)
from ulmfit_easy.data.targets import TARGETS
from ulmfit_easy.errors import ArgumentError, FileError, LabelError, TrainingError
from ulmfit_easy.learner.tasks import TASKS
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.recipes.presets import get_preset
from ulmfit_easy.recipes.stages import new_classifier


@pytest.fixture(scope="module", autouse=True)
def row():
    TASKS["toy"] = TOY
    yield
    del TASKS["toy"]


SPLIT = Tokenizer(BaseTokenizer(), rules=[])  # a token is a word
WORDS = {"anna": "PER", "bert": "PER", "oslo": "LOC", "rome": "LOC", "lives": "O", "in": "O", "sees": "O", "and": "O"}
TEXTS = ["anna lives in oslo", "bert sees rome", "anna and bert", "rome", "bert lives in rome and oslo"]
MORE = ["", " and anna", " and bert", " and oslo", " and rome", " and bert lives", " sees anna", " in rome"]
TABLE = pd.DataFrame({"text": [text + more for more in MORE for text in TEXTS]})  # each text once
TABLE["tags"] = [" ".join(WORDS[word] for word in text.split()) for text in TABLE["text"]]


def loaders(df=TABLE, **kwargs):
    options = dict(text_col="text", label_col="tags", y_block="toy", tok_tfm=SPLIT, bs=4, seed=0, min_freq=1)
    return TextDataLoaders.from_df(df, **{**options, **kwargs})


def tagger(dls=None, **kwargs):
    torch.manual_seed(0)
    options = dict(config=dict(emb_sz=8, n_hid=12, n_layers=1), seq_len=3, drop_mult=0, pretrained=False,
                   metrics=[accuracy], verbose=False)
    return text_classifier_learner(dls or loaders(), AWD_LSTM, **{**options, **kwargs})


@pytest.fixture(scope="module", params=[False, True], ids=["forwards", "backwards"])
def trained(request, row):
    learn = tagger(loaders(backwards=request.param))
    learn.fit_one_cycle(6, 0.1)
    return learn


def test_a_tagger_learns_and_counts_tokens(trained):
    loss, right = trained.validate()
    assert right == 1 and loss < 0.2
    batches = [(trained.model(*batch[:2]).logits, batch[2]) for batch in trained.dls.valid]
    per_token = torch.cat([pred[y >= 0].log_softmax(-1).gather(1, y[y >= 0][:, None]) for pred, y in batches])
    assert loss == pytest.approx(-per_token.mean().item(), abs=1e-5)


def test_metrics_leave_padding_out():
    learn = tagger(metrics=[accuracy, top_k_accuracy, F1Score(average="macro"), RocAuc()])
    batches = [(learn.model.eval()(*batch[:2]).logits, batch[2]) for batch in learn.dls.valid]
    assert any((y < 0).any() for _, y in batches)
    pred, y = (torch.cat(parts) for parts in zip(*((pred[y >= 0], y[y >= 0]) for pred, y in batches), strict=True))
    decided = pred.argmax(1)
    expected = [(decided == y).float().mean().item(), 1.0, f1_score(y, decided, average="macro"),
                roc_auc_score(y, pred.softmax(1).detach(), multi_class="ovr")]
    assert learn.validate()[1:] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("backwards", [False, True])
def test_the_texts_of_a_loader_come_with_their_tags(backwards):
    dls = loaders(backwards=backwards)
    for ids, y in dls.train_ds:
        assert [WORDS[word] for word in dls.words(ids).split()] == dls.decode(y)


def test_a_prediction_has_a_tag_for_each_word_in_any_batch(trained):
    together = trained.predict(TEXTS)
    for text, (tags, index, probs) in zip(TEXTS, together, strict=True):
        assert tags == [WORDS[w] for w in text.split()]
        assert probs.shape == (len(tags), 3) and torch.equal(index, probs.argmax(1))
        torch.testing.assert_close(trained.predict(text).probs, probs)


@pytest.mark.parametrize("text, label, probs", [("rome", "['", "[["), ("", "[]", "[]")])
def test_a_prediction_of_one_word_or_none_is_shown(trained, text, label, probs):
    found = trained.predict(text)
    assert repr(found).startswith(f"ToyPrediction(label={label}") and f"probs={probs}" in found._repr_html_()


def test_data_of_a_task_without_a_row_is_e604(monkeypatch):
    dls = loaders()
    monkeypatch.delitem(TASKS, "toy")
    with pytest.raises(ArgumentError, match=r"E604.*the task 'toy'"):
        text_classifier_learner(dls, AWD_LSTM)


def test_batches_and_results_are_shown_with_their_tags(trained, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for show, columns in ((trained.dls.show_batch, ["text", "label"]),
                          (trained.show_results, ["text", "tags", "predicted"])):
        show()
        head, *rows = (re.split("  +", line.strip()) for line in capsys.readouterr().out.splitlines())
        assert head == columns and rows
        for text, *tags in rows:
            assert tags == ["; ".join(WORDS[word] for word in text.split())] * len(tags)


def test_a_tagger_is_saved_exported_and_loaded(trained, tmp_path):
    trained.path = tmp_path
    trained.save("whole")
    other = tagger(trained.dls, path=tmp_path).load("whole")
    loaded = load_learner(trained.export(tmp_path / "bundle"))
    for learn in (other, loaded):
        for found, expected in zip(learn.predict(TEXTS), trained.predict(TEXTS), strict=True):
            assert found.label == expected.label and torch.equal(found.probs, expected.probs)
    assert type(loaded.head) is ToyHead and loaded.dls.task == "toy"


@pytest.mark.parametrize("load", [load_learner, load_predictor])
@pytest.mark.parametrize("table, name", [(Head.known, "ToyHead"), (TARGETS, "toy"), (TASKS, "toy")],
                         ids=["head", "target", "task"])
def test_where_a_part_is_not_known_its_file_is_to_be_imported(trained, tmp_path, monkeypatch, table, name, load):
    folder = trained.export(tmp_path / "bundle")
    monkeypatch.delitem(table, name)
    expected = f"E401.*{table.noun} '{name}'.*first import the file that defines it.$"
    with pytest.raises(FileError, match=expected) as said:
        load(folder)
    assert "again" not in str(said.value) and str(said.value).count("Received") == 1


def test_labels_that_are_not_one_per_token_are_e207_with_their_rows():
    wrong = TABLE.assign(tags=["O", *TABLE["tags"][1:]])
    with pytest.raises(LabelError, match=r"E207.*row 0\b"):
        loaders(wrong)
    with pytest.raises(LabelError, match=r"E207.*row 0\b"):
        loaders().test_dl(wrong, with_labels=True)
    with pytest.raises(LabelError, match=r"E203.*'X'.*rows 1\b"):
        loaders(TABLE.assign(tags=[TABLE["tags"][0], "X X X", *TABLE["tags"][2:]]), labels=["O", "PER", "LOC"])


@pytest.mark.parametrize("ask", [lambda learn: learn.get_preds(), lambda learn: explain(learn, "anna"),
                                 lambda learn: class_weights(learn.dls),
                                 lambda learn: ensemble([learn], TEXTS)],
                         ids=["get_preds", "explain", "weights", "ensemble"])
def test_what_needs_one_answer_a_text_is_refused(trained, ask):
    with pytest.raises(TrainingError, match="E506"):
        ask(trained)


def test_arguments_of_another_head_are_refused():
    with pytest.raises(ArgumentError, match="E604.*lin_ftrs"):
        tagger(lin_ftrs=[4])


@pytest.mark.parametrize("config", [dict(depth=np.int64(2)), dict(depth=2, output_p=0.5)], ids=["depth", "both"])
def test_settings_of_a_head_are_passed_saved_and_loaded(config, tmp_path):
    learn = tagger(head_config=config)
    loaded = load_learner(learn.export(tmp_path / "bundle"))
    for head in (learn.head, loaded.head):
        assert head.settings == {"output_p": 0.0, **config} and len(head.layers) == 6
    assert loaded.predict("rome").label == learn.predict("rome").label


@pytest.mark.parametrize("config, said", [
    (dict(depth=10), "E602.*depth=10.*from 0 to 9"), (dict(depth="2"), "E601.*depth='2'"),
    (dict(dep=2), "E604.*'depth'"), (dict(n_out=2), "E604.*n_out"), ([2], "E601.*head_config")], ids=str)
def test_settings_that_a_head_does_not_take_are_refused(config, said):
    with pytest.raises(ArgumentError, match=said):
        tagger(head_config=config)


def test_a_setting_without_a_check_is_e603(monkeypatch):
    monkeypatch.setattr(ToyHead, "SETTINGS", Head.SETTINGS)
    with pytest.raises(ArgumentError, match="E603.*depth for ToyHead, without a check.*SETTINGS"):
        tagger(head_config=dict(depth=2))


def test_a_preset_leaves_out_the_settings_that_a_head_lacks():
    preset = replace(get_preset("laptop"), config=dict(emb_sz=8, n_hid=12, n_layers=1))
    assert preset.pool_words
    learn = new_classifier(loaders(), preset, verbose=False)
    assert type(learn.head) is ToyHead and not learn.head.pool_words


@pytest.mark.parametrize("name", sorted(TASKS))
def test_no_part_of_the_library_compares_the_name_of_a_task(name):
    def compares(tree):
        return any(getattr(part, "value", None) == name for node in ast.walk(tree) if isinstance(node, ast.Compare)
                   for part in ast.walk(node))

    assert not [str(file) for file, tree in modules().items() if f'"{name}"' in file.read_text() and compares(tree)]
