"""What a learner shows of itself, and what is otherwise for the length of a block."""

import random

import numpy as np
import pytest
import torch
from learner_toys import classifier, lm, regression, same, state, text_dls

from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner.callbacks.progress import ProgressCallback
from ulmfit_easy.learner.callbacks.recorder import Recorder
from ulmfit_easy.learner.events import Callback
from ulmfit_easy.learner.seeds import no_random, set_seed
from ulmfit_easy.learner.text import load_learner


def rows_of(text) -> dict[str, list[str]]:
    """The table of a summary: name of the part -> the other cells."""
    return {line.split("  ")[0]: [c.strip() for c in line.split("  ")[1:] if c.strip()] for line in text.splitlines()}


def test_a_summary_tells_layers_shapes_parameters_and_what_trains(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    learn = classifier()
    learn.freeze_to(-2)
    text = learn.summary()
    rows, n = rows_of(text), sum(p.numel() for p in learn.model.parameters())
    T = learn.dls.one_batch()[0].shape[1]
    vocab = len(learn.dls.text_vocab)
    assert rows["0.module.encoder"] == ["Embedding", f"8 x {min(T, 72)} x 8", f"{8 * vocab:,}", "no"]
    assert rows["1.layers.1.2"] == ["Linear", "8 x 2", "100", "yes"]
    assert rows["0.module.rnns.1"][0] == "WeightDropout" and rows["0.module.rnns.1"][-1] == "yes"
    assert rows["0.module.rnns.0"][-1] == "no" and rows["0.module.input_dp"][-1] == "0"
    frozen = sum(p.numel() for p in learn.model.parameters() if not p.requires_grad)
    assert f"Parameters: {n:,}; {n - frozen:,} train, {frozen:,} do not" in text
    assert sum(int(r[-2 if r[-1] in ("yes", "no", "partly") else -1].replace(",", "")) for name, r in rows.items()
               if name[:2] in ("0.", "1.")) == n
    assert "Optimizer: AdamW over 4 layer groups, the first 2 frozen" in text and "Loss: CrossEntropyLossFlat" in text
    assert "Callbacks: TrainEvalCallback, " in text and repr(text) == str(text)


def test_a_summary_counts_a_tied_weight_once():
    text, learn = lm().summary(), lm()
    n = len(learn.dls.vocab)
    assert rows_of(text)["1.decoder"] == ["Linear", f"8 x 10 x {n}", f"{n}", "yes"]  # its biases
    assert "\n1.decoder shares weights with 0.encoder, where they are counted. They are in the layer group of" in text
    assert "shares" not in classifier().summary()
    assert f"Parameters: {sum(p.numel() for p in learn.model.parameters()):,};" in text and "Optimizer: Adam\n" in text


def test_a_summary_names_the_precision_unless_it_is_the_usual_one():
    assert "MixedPrecision(bf16)" in lm().to_bf16().summary()
    assert "MixedPrecision" not in lm().to_fp32().summary()


def test_a_summary_changes_nothing_and_asks_no_callback():
    learn = regression(shuffle=True, cbs=Callback(before_batch=lambda self: pytest.fail("a callback was asked")))
    learn.model.train()
    before, loader, rng = state(learn.model), str(learn.dls.train.state_dict()), torch.get_rng_state()
    learn.summary()
    assert same(before, state(learn.model)) and str(learn.dls.train.state_dict()) == loader and learn.model.training
    assert torch.equal(rng, torch.get_rng_state()) and not any(m._forward_hooks for m in learn.model.modules())


def test_a_learner_without_data_has_a_summary_without_shapes(tmp_path):
    text = load_learner(classifier(path=tmp_path).export()).summary()
    assert " x " not in text and "0.module.encoder" in text and "for a batch" not in text


def test_no_mbar_leaves_the_table_out(capsys):
    learn = regression()
    learn.verbose = True
    with learn.no_mbar():
        learn.fit(1)
    assert capsys.readouterr().out == ""
    learn.fit(1)
    assert "train_loss" in capsys.readouterr().out


def test_a_validation_context_is_quiet_and_has_more_callbacks(capsys):
    learn, extra = regression(), Callback()
    learn.verbose, before = True, list(learn.cbs)
    with pytest.raises(ValueError), learn.validation_context(cbs=extra, inner=True) as inside:
        assert inside is learn and extra in learn.cbs
        learn.fit(1)
        raise ValueError
    assert capsys.readouterr().out == "" and learn.cbs == before and learn.verbose


def test_contexts_are_entered_one_inside_the_other():
    learn = regression()
    with learn.no_bar(), learn.no_bar(), learn.removed_cbs(ProgressCallback), learn.added_cbs(ProgressCallback()):
        assert learn.progress.with_bar
    assert learn.progress.with_bar and [type(cb) for cb in learn.cbs[1:]] == [Recorder, ProgressCallback]


def test_show_training_loop_names_callbacks_made_of_functions(capsys):
    regression(cbs=Callback(after_step=lambda self: None)).show_training_loop()
    lines = capsys.readouterr().out.splitlines()
    assert "after_step              Callback" in lines and "before_step" in lines


def draw():
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_a_seed_gives_the_same_numbers_again():
    set_seed(3)
    first = draw()
    set_seed(3)
    assert draw() == first
    set_seed(2**40)
    assert draw() != first


def test_no_random_gives_the_same_numbers_and_disturbs_none():
    set_seed(1)
    expected, flags = [draw(), draw()], (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
    set_seed(1)
    found = [draw()]
    with no_random():
        inside = draw()
        assert torch.backends.cudnn.deterministic
    with pytest.raises(ValueError), no_random(seed=42):
        assert draw() == inside
        raise ValueError
    found.append(draw())
    assert found == expected and inside not in expected
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == flags


def test_shown_results_are_random_rows_the_same_each_time_and_disturb_no_random_number(capsys):
    learn = classifier(text_dls(n=200))
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)

    def shown(**kwargs):
        learn.show_results(max_n=5, trunc_at=12, **kwargs)
        return capsys.readouterr().out

    first = shown()
    assert first == shown() and torch.equal(torch.rand(2), expected)
    longest = shown(shuffle=False)
    assert longest == shown(shuffle=False) != first
    torch.manual_seed(8)
    assert shown() != first
    assert first.count("xxbos") == longest.count("xxbos") == 5


def test_shown_results_pair_each_text_with_its_own_target(capsys):
    learn, df = classifier(), toy_reviews(n=30, seed=6)
    learn.show_results(dl=learn.dls.test_dl(df, with_labels=True), max_n=30, trunc_at=3)
    rows = capsys.readouterr().out.splitlines()[1:]
    of_start = {}
    for text, label in zip(df["text"], df["label"], strict=True):
        start = " ".join(learn.dls.tokenizer(text)[:3])
        of_start.setdefault(start, []).append(label)
    shown = {}
    for row in rows:
        *words, target, _ = row.split()
        shown.setdefault(" ".join(words), []).append(target)
    known = {start: sorted(labels) for start, labels in of_start.items() if "xxunk" not in start}
    assert {start: sorted(labels) for start, labels in shown.items() if start in known} == {
        start: labels for start, labels in known.items() if start in shown} and len(rows) == 30


def test_results_of_plain_loaders_cannot_be_shown():
    with pytest.raises(TrainingError, match="E506"):
        regression().show_results()
