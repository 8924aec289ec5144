import re
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interpret_toys import classifier, counted, data, several_labels

from ulmfit_easy import viz
from ulmfit_easy.apps.attribute import READINGS, Attribution, evidence, explain
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import ArgumentError, TextError, TrainingError
from ulmfit_easy.learner.losses import BCELossFlat
from ulmfit_easy.learner.text import language_model_learner
from ulmfit_easy.models.awd_lstm import AWD_LSTM

TEXT = "The plot was wonderful . my brother loved it too , most of all the camera . I will warn all my friends"


@pytest.fixture(scope="module")
def learn():
    learn = classifier()
    learn.fit(3, 1e-2)
    return learn


@pytest.fixture(scope="module")
def backwards():
    return classifier(data(backwards=True))


def says(learn, ids, label):
    """The log-odds of a class for one text, read alone."""
    ids = np.array(ids[::-1] if learn.dls.backwards else ids, dtype="int64")
    learn.model.eval()
    with torch.no_grad():
        logits = learn.model(torch.tensor(ids)[None], torch.tensor([len(ids)])).logits[0].double()
    p = logits.softmax(0)[learn.dls.classes.index(label)].item()
    return np.log(p / (1 - p))


def without_each(learn, text, label, baseline):
    """The log-odds of a class with one token after another hidden, the first one (xxbos) aside."""
    ids, instead = list(learn.dls.prepare.ids(text)[0]), [0] if baseline == "unknown" else []
    return np.array([says(learn, ids[:at] + instead + ids[at + 1:], label) for at in range(1, len(ids))])


@pytest.mark.parametrize("baseline", ["unknown", "delete"])
@pytest.mark.parametrize("which", ["learn", "backwards"])
def test_a_score_is_what_the_answer_loses_without_the_token(which, baseline, request):
    learn = request.getfixturevalue(which)
    found = explain(learn, TEXT, "pos", baseline=baseline)
    whole = says(learn, learn.dls.prepare.ids(TEXT)[0], "pos")
    assert found.evidence == pytest.approx(whole, abs=1e-4)
    np.testing.assert_allclose(found.scores[1:], whole - without_each(learn, TEXT, "pos", baseline), atol=1e-4)
    assert found.tokens == learn.dls.tokenizer(TEXT) and found.scores[0] == 0  # xxbos stays


@given(st.lists(st.sampled_from("the plot was wonderful awful loved hated it and".split()), min_size=2, max_size=12,
                unique=True), st.sampled_from(["unknown", "delete"]))
@settings(deadline=None, max_examples=20)
def test_the_token_whose_removal_changes_the_answer_most_ranks_first(learn, words, baseline):
    text = " ".join(words)
    found = explain(learn, text, baseline=baseline)
    whole = says(learn, learn.dls.prepare.ids(text)[0], found.label)
    changes = abs(whole - without_each(learn, text, found.label, baseline))
    (token, score), = found.top(1)
    assert changes[words.index(token)] == pytest.approx(changes.max(), abs=1e-4)
    assert abs(score) == pytest.approx(changes.max(), abs=1e-4)


def test_a_word_that_decides_ranks_first():
    learn = classifier()
    with torch.no_grad():  # every token but one looks the same to the model
        learn.encoder.encoder.weight[:] = learn.encoder.encoder.weight[0]
        learn.encoder.encoder.weight[learn.dls.text_vocab.stoi["camera"]] += 3
    found = explain(learn, TEXT)
    assert found.top(1)[0][0] == "camera"
    assert np.abs(found.scores[[t != "camera" for t in found.tokens]]).max() < 1e-4


def test_a_window_hides_its_tokens_together(learn):
    found = explain(learn, TEXT, "neg", window=4)
    ids = learn.dls.prepare.ids(TEXT)[0]
    without = says(learn, [*ids[:5], 0, 0, 0, 0, *ids[9:]], "neg")
    assert found.scores[5:9] == pytest.approx([found.evidence - without] * 4, abs=1e-4)
    assert len(set(np.round(found.scores[1:], 9))) <= -(-(len(ids) - 1) // 4)


@pytest.mark.parametrize("n, window, readings", [(20, None, 21), (20, 7, 4), (1000, None, 168)])
def test_the_cost_is_what_the_docstring_says(learn, n, window, readings):
    read = counted(learn)
    found = explain(learn, " ".join(["plot", "was"] * (n // 2)), window=window, bs=32)
    assert sum(read) == readings <= 1 + READINGS and max(read) <= 32
    assert len(found.scores) == len(found.tokens) == 1 + n


def test_an_empty_text_has_nothing_to_explain(learn):
    found = explain(learn, "")
    assert abs(found.scores).max() < 10 and found.evidence > 0 and found.tokens[0] == "xxbos"


def test_several_texts_give_a_list_and_the_target_may_be_any_class(learn):
    a, b = explain(learn, [TEXT, "awful"], "neg")
    assert a.label == b.label == "neg" and len(b.tokens) < len(a.tokens)
    other = explain(learn, TEXT, "pos")
    assert a.evidence == pytest.approx(-other.evidence, abs=1e-6)
    np.testing.assert_allclose(a.scores, -other.scores, atol=1e-6)  # of two classes, what speaks for one ...
    likeliest = explain(learn, TEXT)
    assert likeliest.label == learn.predict(TEXT).label and likeliest.evidence > 0


def test_evidence_is_log_odds_for_classes_and_the_output_itself_elsewhere():
    logits = torch.randn(5, 3, dtype=torch.float64)
    p = logits.softmax(1)[:, 1]
    torch.testing.assert_close(evidence(logits, 1, True), (p / (1 - p)).log())
    torch.testing.assert_close(evidence(logits, 1, False).sigmoid(), logits.sigmoid()[:, 1])
    assert torch.equal(evidence(logits, 2, False), logits[:, 2])
    assert evidence(torch.tensor([[200.0, 0.0]]), 0, True).item() == 200  # a probability would be 1, and stay there


def test_several_labels_and_numbers_are_explained_too():
    multi = classifier(data(several_labels(), label_delim=";"))
    assert explain(multi, TEXT, "film").label == "film"
    stars = toy_reviews(60, seed=0).assign(label=[i / 7 for i in range(60)])
    regression = classifier(data(stars, y_block="regression"))
    found = explain(regression, TEXT)
    assert found.label is None and found.evidence == pytest.approx(regression.predict(TEXT).label, abs=1e-5)
    assert found.title == f"predicted: {found.evidence:.4g}"


def test_a_model_of_probabilities_is_explained_in_log_odds_too():
    learn = classifier(data(several_labels(), label_delim=";"), y_range=(0, 1), loss_func=BCELossFlat())
    found, p = explain(learn, TEXT, "film"), learn.predict(TEXT).probs[learn.dls.classes.index("film")].item()
    assert found.evidence == pytest.approx(np.log(p / (1 - p)), abs=1e-4)
    assert found.title == f"film: probability {p:.3f}"
    with torch.no_grad():
        [m for m in learn.model.modules() if isinstance(m, torch.nn.Linear)][-1].weight.mul_(1e4)
    assert learn.predict(TEXT).probs.tolist() == pytest.approx(learn.predict(TEXT).probs.round().tolist(), abs=1e-6)
    assert 10 < abs(explain(learn, TEXT, "film").evidence) < 20  # not infinite


def test_a_number_between_0_and_1_stays_the_number():
    shares = toy_reviews(60, seed=0).assign(label=[i / 60 for i in range(60)])
    learn = classifier(data(shares, y_block="regression"), y_range=(0, 1), loss_func=BCELossFlat())
    assert explain(learn, TEXT).evidence == pytest.approx(learn.predict(TEXT).probs.item(), abs=1e-5)


def test_tables_and_rows_are_read_as_their_texts(learn):
    df = pd.DataFrame({"text": [TEXT, "awful"], "label": ["pos", "neg"]})
    with pytest.raises(TextError, match=r'E101.*df\["text"\]'):
        explain(learn, [TEXT, None])
    n = [len(explain(learn, text).tokens) for text in df["text"]]
    for several in (df, df[["text"]], df["text"], df["text"].to_numpy(), tuple(df["text"]), pd.Index(df["text"])):
        assert [len(a.tokens) for a in explain(learn, several)] == n
    for one in (df.iloc[0], {"text": TEXT, "label": "pos"}):
        assert len(explain(learn, one).tokens) == n[0]


@pytest.mark.parametrize("window", [0, -1])
def test_a_window_hides_one_token_or_more(learn, window):
    with pytest.raises(ArgumentError, match=f"E602.*window={window}"):
        explain(learn, TEXT, window=window)


def test_the_model_keeps_its_mode_and_its_weights(learn):
    learn.model.train()
    before = {k: v.clone() for k, v in learn.model.state_dict().items()}
    explain(learn, TEXT)
    assert learn.model.training
    assert all(torch.equal(v, before[k]) for k, v in learn.model.state_dict().items())


@pytest.mark.parametrize("options", [dict(target="good"), dict(method="magic"), dict(baseline="zero")])
def test_unknown_words_are_refused_with_those_that_are_known(learn, options):
    with pytest.raises(ArgumentError, match="E60.*one of"):
        explain(learn, TEXT, **options)


def test_a_language_model_has_no_answer_to_explain():
    dls = data(is_lm=True, seq_len=10)
    lm = language_model_learner(dls, AWD_LSTM, config=dict(emb_sz=8, n_hid=12, n_layers=2), pretrained=False)
    with pytest.raises(TrainingError, match="E506"):
        explain(lm, TEXT)


# --- how it looks ---

HOSTILE = ["<script>alert(1)</script>", "$x$", "\\(y\\)", '"><img src=x onerror=alert(1)>', "&lt;", "\x1b[31m",
           "javascript:"]
TOKEN = r'<span title="[+-]\d\.\d{3}" style="background-color:rgba\((31,119,180|255,127,14),\d\.\d\d\);'
OURS = TOKEN + r'padding:1px 3px;border-radius:3px">|</?(b|div|span)( class="[a-z0-9_ ]+" style="line-height:1.9")?>'


def test_html_is_coloured_by_numbers_alone_and_text_is_only_text():
    found = Attribution(HOSTILE, np.array([1.0, -2, 0, 0.5, 0.1, -0.1, 0]), "<b>$pos$", 2.0)
    html = found._repr_html_()
    assert not set("<>") & set(re.sub(OURS, "", html))
    assert not set("$\\\x1b") & set(re.sub(r"<span>[$\\]</span>", "", html))
    assert "31,119,180,0.40" in html and "255,127,14,0.80" in html  # the largest score is deepest


def test_a_terminal_shows_the_main_scores_and_no_control_codes(capsys):
    found = Attribution(["a", "very", "good", "\x1b[31mfilm"], np.array([0.0, 1.0, 1.0, -0.1]), "pos", 0.0)
    found.show()
    assert capsys.readouterr().out == f"{found}\n" == "pos: probability 0.500\na [very good +1.00] \ufffd[31mfilm\n"


def test_a_text_whose_tokens_all_score_0_is_shown_plain():
    assert viz.text_tokens(["a", "b"], [0.0, 0.0]) == "a b"
    assert viz.html_tokens([], []) and viz.text_tokens([], []) == ""


# --- integrated gradients ---

@pytest.mark.parametrize(("max_len", "pool_words"), [(None, False), (12, False), (40, False), (12, True)])
def test_reading_a_text_in_one_window_gives_the_classifiers_answer_with_a_gradient_everywhere(max_len, pool_words):
    learn = classifier(max_len=max_len, pool_words=pool_words)
    learn.model.eval()
    ids = torch.randint(9, 30, (2, 34))  # four windows of 10
    lengths = torch.tensor([34, 34])
    whole = learn.model.whole()
    logits = whole(ids, lengths).logits
    torch.testing.assert_close(logits, learn.model(ids, lengths).logits, atol=1e-5, rtol=1e-4)
    embedded = []
    learn.encoder.embedding.register_forward_hook(lambda m, i, out: embedded.append(out) or out.retain_grad())
    whole(ids, lengths).logits[:, 0].sum().backward()
    assert (embedded[0].grad.abs().sum(2) > 0).all()  # (2, 34)


def test_without_captum_integrated_gradients_say_what_to_install(learn, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(TrainingError, match=r"E507.*pip install captum"):
        explain(learn, TEXT, method="gradients")


@pytest.mark.parametrize("which", ["learn", "backwards"])
def test_integrated_gradients_add_up_to_the_difference_between_the_answers(which, request):
    pytest.importorskip("captum", reason="needs captum")
    learn = request.getfixturevalue(which)
    found = explain(learn, TEXT, "pos", method="gradients", n_steps=200)
    n = len(found.tokens)
    nothing = says(learn, [learn.dls.text_vocab.stoi["xxbos"]] + [0] * (n - 1), "pos")
    assert found.scores.sum() == pytest.approx(found.evidence - nothing, rel=0.02, abs=1e-3)
    assert found.scores[0] == 0 and len(found.scores) == n
    plain = explain(learn, TEXT, "pos")
    assert np.corrcoef(found.scores, plain.scores)[0, 1] > 0.5  # the two ways agree on the whole
