"""Numbers: what is not finite stops before it does harm, what does not fit is told, and no result hangs on chance."""

import math
import random
import re
import resource
import subprocess
import sys
import textwrap
import warnings
import weakref
from functools import cache, partial

import pytest
import torch
import torch.nn.functional as F
from faults import tally
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from ulmfit_easy.all import (
    AWD_LSTM,
    SGD,
    Adam,
    BaseTokenizer,
    CheckpointCallback,
    GradientClip,
    TerminateOnNaNCallback,
    TextDataLoaders,
    language_model_learner,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner.callbacks.rnn import RNNRegularizer
from ulmfit_easy.learner.events import Callback
from ulmfit_easy.models.classifier import get_text_classifier
from ulmfit_easy.models.dropout import WeightDropout
from ulmfit_easy.models.heads.pooling import masked_concat_pool
from ulmfit_easy.models.softmax import LMDecoder, lm_cross_entropy
from ulmfit_easy.text import workers
from ulmfit_easy.text.special import PAD, SPECIAL_TOKENS

TINY = dict(emb_sz=8, n_hid=12, n_layers=2)
SLOW = pytest.mark.slow


@cache
def data(is_lm: bool):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TextDataLoaders.from_df(toy_reviews(60), text_col="text", label_col="label", is_lm=is_lm, bs=8,
                                       seq_len=18, seed=0, min_freq=1, tok_tfm=BaseTokenizer())


def learner(is_lm: bool, path=".", **kwargs):
    """A tiny learner with the same weights each time, over data that are made once."""
    torch.manual_seed(0)
    dls = data(is_lm)
    dls.train.load_state_dict({"seed": 0, "epoch": 0, "position": 0})
    make = language_model_learner if is_lm else text_classifier_learner
    return make(dls, AWD_LSTM, **{"config": TINY, "pretrained": False, "verbose": False, "path": path, **kwargs})


def weights(learn) -> dict:
    return {name: t.clone() for name, t in learn.model.state_dict().items()}


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Before(Callback):
    """Keeps the weights of before batch `at`, and does something at one of its events."""

    order, run_valid = -50, False

    def __init__(self, at: int, event: str, action):
        self.at, self.kept = at, None
        setattr(self, event, lambda: action(self.learn) if self.learn.train_iter == at else None)
        if event != "before_batch":
            self.before_batch = self.keep
        else:
            self.before_batch = lambda: (self.keep(), self.learn.train_iter == at and action(self.learn))

    def keep(self):
        if self.learn.train_iter == self.at:
            self.kept = weights(self.learn)


# --- N1: what is not finite ---------------------------------------------------------------------------------------

def poison_embedding(learn):
    """From now on the words' vectors are NaN on their way into the network."""
    learn.encoder.encoder_dp.register_forward_hook(lambda module, args, out: out * math.nan)


def poison_loss(learn):
    learn.loss, learn.loss_grad = learn.loss * math.nan, learn.loss_grad * math.nan


def poison_gradient(learn):
    last = list(learn.encoder.rnns[1].parameters())[0]
    last.grad[0] = math.inf


def wild_rate(learn):
    learn.opt.set_hyper("lr", 1e20)


POISONS = {"NaN out of the embedding": ("before_batch", poison_embedding, r"0\.(module\.)?encoder_dp \(Emb"),
           "NaN loss": ("after_loss", poison_loss, "lm_cross_entropy|CrossEntropyLossFlat"),
           "infinite gradient": ("after_backward", poison_gradient, r"rnns\.1\."),
           "rate of 1e20": ("before_step", wild_rate, "at rate 1e.20")}


@pytest.mark.parametrize("n", [3, pytest.param(25, marks=SLOW)])
@pytest.mark.parametrize("kind", POISONS)
@pytest.mark.parametrize("is_lm", [True, False], ids=["language model", "classifier"])
def test_a_fit_stops_at_the_batch_with_weights_of_before_it(tmp_path, is_lm, kind, n):
    event, poison, where = POISONS[kind]
    lost = 0
    for at in range(n) if n > 3 else (0, 1, 8):
        learn = learner(is_lm, tmp_path, opt_func=(SGD, partial(SGD, mom=0.9), Adam)[at % 3])
        before = Before(at, event, poison)
        with pytest.raises(TrainingError, match=r"\[E501\].*, at rate .*norm of the last") as caught:
            learn.fit(9, 0.1, cbs=[before, TerminateOnNaNCallback(), GradientClip(1.0),
                                   CheckpointCallback(f"run {at}", every=1)])
        saved = tmp_path / f"run {at}" / "checkpoint-1.safetensors"
        assert saved.exists() == (at > 0)
        whole = all(bool(torch.isfinite(t).all()) for t in load_file(saved).values() if t.is_floating_point()) \
            if at else True
        told = "epoch {}, batch {},".format(*divmod(at, len(learn.dls.train)))
        lost += not (same(weights(learn), before.kept) and whole and told in str(caught.value)
                     and re.search(where, str(caught.value)))
    tally("N1", f"{kind}, {'language model' if is_lm else 'classifier'}", n, lost, "batches", "poisoned")


def test_without_the_callback_a_poisoned_batch_reaches_the_weights():
    learn = learner(False)
    learn.fit(1, 0.1, cbs=Before(3, "before_batch", poison_embedding))
    assert not all(bool(torch.isfinite(t).all()) for t in weights(learn).values())


def test_a_fit_that_stays_finite_is_the_same_with_and_without_the_watch():
    ends = []
    for cbs in ([], [TerminateOnNaNCallback()]):
        learn = learner(False)
        torch.manual_seed(1)
        learn.fit(1, 0.1, cbs=cbs)
        ends.append(weights(learn))
    assert same(*ends)


# --- N2: what does not fit ----------------------------------------------------------------------------------------

class Full(Callback):
    """A device that is full from batch `at` on: in its forward, its loss or its backward pass."""

    order, run_valid = 5, False

    def __init__(self, at: int, event: str):
        self.at = at
        setattr(self, event, self.maybe)

    def maybe(self):
        if self.learn.train_iter >= self.at:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


EVENTS = ("after_pred", "after_loss", "after_backward")
TOLD = r"\[E509\].*batch %d of 8 x .*2\.00 GiB.*bs=4 .*GradientAccumulation\(8\)"


@pytest.mark.parametrize(("event", "n"), [(EVENTS[-1], 1), *(pytest.param(event, 10, marks=SLOW) for event in EVENTS)])
@pytest.mark.parametrize("is_lm", [True, False], ids=["language model", "classifier"])
def test_a_batch_that_does_not_fit_is_told_what_to_change_and_moves_no_weight(is_lm, event, n):
    lost = 0
    for at in (4,) if n == 1 else range(n):
        learn, kept = learner(is_lm, opt_func=SGD), Before(at, "before_batch", lambda learn: None)
        with pytest.raises(TrainingError, match=TOLD % (at % len(learn.dls.train))):
            learn.fit(2, 0.1, cbs=[kept, Full(at, event)])
        whole = all(p.grad is None and torch.equal(p, kept.kept[name]) for name, p in learn.model.named_parameters())
        learn.fit(1, 0.1)  # and goes on
        lost += not (whole and len(learn.recorder.losses) == len(learn.dls.train))
    tally("N2", f"full device in {event.split('_')[1]}, {'language model' if is_lm else 'classifier'}: told, "
          "weights as before", n, lost, "batches", "moved")


def test_the_error_of_a_full_device_holds_nothing_of_the_batch():
    learn, seen = learner(False), []
    with pytest.raises(TrainingError) as caught:
        learn.fit(1, cbs=[Callback(after_pred=lambda self: seen.append(weakref.ref(self.pred))), Full(0, "after_loss")])
    assert seen and seen[0]() is None
    assert not isinstance(caught.value.__context__, RuntimeError)  # torch's, whose traceback would hold the batch


def test_one_row_that_does_not_fit_is_told_to_be_shorter():
    learn = learner(True)
    with pytest.raises(TrainingError, match=r"\[E509\].*batch 0 of 1 x .*Fix: choose a shorter seq_len"):
        learn.fit(1, cbs=[Callback(after_pred=one_row), Full(0, "after_pred")])


def one_row(callback):
    callback.learn.xb = (callback.xb[0][:1],)


def test_another_error_is_not_taken_for_it():
    with pytest.raises(RuntimeError, match="other"):
        learner(False).fit(1, cbs=Callback(after_pred=lambda self: (_ for _ in ()).throw(RuntimeError("other"))))


REAL = """
    import re, resource, warnings
    warnings.simplefilter("ignore")
    from ulmfit_easy.all import *

    def fit(bs, *cbs):
        dls = TextDataLoaders.from_df(toy_reviews(3000), text_col="text", is_lm=True, bs=bs, seq_len=1500, seed=0,
                                      min_freq=1, tok_tfm=BaseTokenizer(), cache_dir=False, val_bs=1)
        learn = language_model_learner(dls, AWD_LSTM, config=dict(emb_sz=64, n_hid=64, n_layers=2), pretrained=False,
                                       drop_mult=0, verbose=False, opt_func=SGD, precision="fp32")
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        learn.fit(1, 0.01, cbs=[ShortEpochCallback(1e-9), *cbs])

    limit = resource.RLIM_INFINITY
    fit(1)  # so that all is imported, and pools of memory are reserved
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    bs, limit = 64, used + 900 * 2**20
    while True:
        try:
            fit(bs, *([] if bs == 64 else [GradientAccumulation(64)]))
            break
        except UlmfitError as e:
            print(e)
            bs = int(re.search("bs=([0-9]+)", str(e))[1])
    print("trained with bs", bs)
"""


@SLOW
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_AS")
def test_a_cpu_that_is_really_full_is_told_what_to_change_until_it_trains(tmp_path):
    assert resource.RLIMIT_AS
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(REAL)], capture_output=True, text=True, timeout=600,
                          cwd=tmp_path)
    print(done.stdout, done.stderr[-2000:])
    checks = ["[E509]" in done.stdout and "bs=32" in done.stdout, "trained with bs" in done.stdout]
    tally("N2", "really full memory (RLIMIT_AS): told what to change; trained so", 2, checks.count(False), "runs",
          "lost")


# --- N3, N4, N5: no result hangs on its neighbours ----------------------------------------------------------------

@pytest.mark.parametrize("n", [30, pytest.param(300, marks=SLOW)])
def test_a_prediction_does_not_depend_on_its_batch_and_comes_in_its_place(n):
    learn, words = learner(False), data(False).text_vocab[9:]
    cache_of_one, seen = {}, []

    def text(seed, length):
        return " ".join(random.Random(seed).choices(words, k=length))

    @settings(max_examples=n, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from([1, 2, 17, 18, 19, 36, 100, 500])), min_size=1,
                    max_size=12), st.integers(1, 64))
    def check(specs, bs):
        texts = [text(*spec) for spec in specs]
        preds, _ = learn.get_preds(dl=learn.dls.test_dl(texts, bs=bs))
        for one, p in zip(texts, preds, strict=True):
            if one not in cache_of_one:
                cache_of_one[one] = learn.predict(one).probs
            off = float((p - cache_of_one[one]).abs().max())
            flipped = int(p.argmax()) != int(cache_of_one[one].argmax()) and off > 0
            seen.append((off, flipped))
            assert off < 1e-5 and not flipped
    check()
    off, _ = max(seen)
    tally("N3", f"predictions in batches of any size and order, largest difference {off:.0e}", len(seen),
          sum(d >= 1e-5 or f for d, f in seen), "texts", "different, flipped or misplaced")


def test_pad_and_other_control_ids_in_a_row_never_change_another_row():
    torch.manual_seed(0)
    model = get_text_classifier(AWD_LSTM, 50, 3, seq_len=5, config=TINY).eval()
    ids, lengths = torch.randint(9, 50, (4, 22)), torch.tensor([22, 22, 13, 7])
    for row, length in enumerate(lengths):
        ids[row, length:] = SPECIAL_TOKENS.index(PAD)
    with torch.no_grad():
        expected, tried, changed = model(ids, lengths).logits, 0, 0
        for token in range(len(SPECIAL_TOKENS)):
            for at in range(22):
                forged = ids.clone()
                forged[0, at] = token
                tried += 1
                changed += not torch.equal(model(forged, lengths).logits[1:], expected[1:])
    tally("N4", "control ids at every place of a row, other rows to the bit", tried, changed, "batches", "changed")


def test_control_tokens_typed_at_the_border_of_a_window_never_change_another_text():
    learn = learner(False)
    mates = ["a good film", "the plot was boring . " * 9, ""]
    tried = changed = 0
    for token in SPECIAL_TOKENS:
        for at in (0, 16, 17, 18, 35, 36):
            words = ["good"] * 40
            typed, plain = ([*words[:at], w, *words[at:]] for w in (token, f"xx {token[2:]}"))
            a, b = (torch.stack([p.probs for p in learn.predict([" ".join(t), *mates])]) for t in (typed, plain))
            tried += 1
            changed += not torch.equal(a[1:], b[1:])
    tally("N4", "control tokens typed at the borders of windows, other texts to the bit", tried, changed, "texts",
          "changed")


def test_no_mask_gives_anything_but_finite_numbers():
    g, bad = torch.Generator().manual_seed(0), 0
    for i in range(1000):
        n, t = torch.randint(1, 6, (2,), generator=g).tolist()
        mask = torch.rand(n, t, generator=g) < (i % 5) / 4  # 0: no padding; 4: nothing else
        out = masked_concat_pool(torch.randn(n, t, 3, generator=g) * 10.0 ** (i % 30), mask)
        bad += not bool(torch.isfinite(out).all())
    tally("N5", "pooling under any mask, those of nothing but padding too", 1000, bad, "masks", "not finite")
    learn = learner(False)
    found = [p.probs for p in learn.predict(["", " ", "\n", "xxpad", "\0"])]
    tally("N5", "empty texts", len(found), sum(not bool(torch.isfinite(p).all()) for p in found), "texts", "not finite")


# --- N6: the same seed, the same bytes ----------------------------------------------------------------------------

@pytest.mark.parametrize("seeds", [1, pytest.param(5, marks=SLOW)])
def test_a_seed_gives_the_same_bytes_whatever_the_number_of_workers(tmp_path, monkeypatch, seeds):
    monkeypatch.setattr(workers, "PIECE", 500)
    differ = 0
    for seed in range(seeds):
        ends = []
        for n_workers in (0, 1, 2):
            torch.manual_seed(seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dls = TextDataLoaders.from_df(toy_reviews(40, seed=seed), text_col="text", label_col="label", bs=8,
                                              seed=seed, min_freq=1, tok_tfm=BaseTokenizer(), n_workers=n_workers,
                                              cache_dir=tmp_path / f"{seed} {n_workers}")
            learn = text_classifier_learner(dls, AWD_LSTM, config=TINY, pretrained=False, verbose=False)
            learn.fit_one_cycle(1, 1e-2)
            ends.append(weights(learn))
        differ += sum(not same(end, ends[0]) for end in ends)
    tally("N6", "fits of a seed with 0, 1 and 2 workers, to the bit", 3 * seeds, differ, "fits", "different")


# --- N7: beside slow and plain references -------------------------------------------------------------------------

def shapes(n, seed=0):
    rng = random.Random(seed)
    return [(rng.randint(1, 5), rng.randint(1, 9), rng.randint(1, 7), rng.randint(10, 40)) for _ in range(n)]


def plain_pool(x, mask):
    rows = []
    for states, pad in zip(x, mask, strict=True):
        real = [s for s, p in zip(states, pad, strict=True) if not p]
        parts = [real[-1], torch.stack(real).max(0)[0], sum(real) / len(real)] if real else [states[0] * 0] * 3
        rows.append(torch.cat(parts))
    return torch.stack(rows)


def plain_penalty(raw, out, mask, alpha, beta):
    """AR and TAR by their formulas, over the real positions, one at a time."""
    ar = [(o ** 2).mean() for row, pad in zip(out, mask, strict=True) for o, p in zip(row, pad, strict=True) if not p]
    tar = [((b - a) ** 2).mean() for row, pad in zip(raw, mask, strict=True)
           for a, b, p, q in zip(row[:-1], row[1:], pad[:-1], pad[1:], strict=True) if not (p or q)]
    return alpha * (sum(ar) / max(1, len(ar))) + beta * (sum(tar) / max(1, len(tar)))


def plain_lstm(x, w_ih, w_hh, b_ih, b_hh):
    """An LSTM from zeros, one row, one step, one gate at a time."""
    out = []
    for row in x:
        h = c = torch.zeros(w_hh.shape[1], dtype=x.dtype)
        for step in row:
            i, f, g, o = (w_ih @ step + b_ih + w_hh @ h + b_hh).chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            out.append(h)
    return torch.stack(out).view(len(x), x.shape[1], -1)


def test_pooling_penalties_weight_drop_and_gradients_agree_with_plain_references(monkeypatch):
    torch.manual_seed(0)
    bad, n = dict.fromkeys(("pooling", "AR and TAR", "weight drop", "gradient of the loss"), 0), 50
    for b, t, e, v in shapes(n):
        x, mask = torch.randn(b, t, e, dtype=torch.float64), torch.rand(b, t) < 0.4
        bad["pooling"] += not torch.allclose(masked_concat_pool(x, mask), plain_pool(x, mask), atol=1e-6, rtol=0)

        raw, out = (torch.randn(b, t, e, dtype=torch.float64, requires_grad=True) for _ in range(2))
        regularizer, held = RNNRegularizer(2.0, 1.0), type("Learn", (), {})()
        held.rnn, held.loss_grad = type("Rnn", (), dict(raw_out=raw, out=out, mask=mask))(), torch.zeros(())
        regularizer.learn = held
        regularizer.after_loss()
        off = (held.loss_grad - plain_penalty(raw, out, mask, 2.0, 1.0)).detach().abs()
        bad["AR and TAR"] += float(off) > 1e-6

        rnn = WeightDropout(torch.nn.LSTM(e, v, batch_first=True), 0.5).double().train()
        drop = (torch.rand(4 * v, v) < 0.5).double() * 2
        monkeypatch.setattr("ulmfit_easy.models.dropout.dropout_mask", lambda x, size, p, drop=drop: drop)
        state = (torch.zeros(1, b, v, dtype=torch.float64),) * 2
        found, _ = rnn(x, state)
        w = rnn.module
        expected = plain_lstm(x, w["weight_ih_l0"], rnn.weight_hh_l0_raw * drop, w["bias_ih_l0"], w["bias_hh_l0"])
        monkeypatch.undo()
        bad["weight drop"] += not torch.allclose(found, expected, atol=1e-6, rtol=0)

        encoder = AWD_LSTM(v, e, 6, 1, hidden_p=0, input_p=0, embed_p=0, weight_p=0).double()
        decoder = LMDecoder(v, e, output_p=0, tie_encoder=encoder.encoder).double()
        ids, y = torch.randint(v, (b, t)), torch.randint(v, (b, t))
        grads = []
        for loss in (lambda o, y=y: lm_cross_entropy(o, y),
                     lambda o, y=y: F.cross_entropy(o.logits().flatten(0, 1), y.flatten())):
            encoder.zero_grad(), decoder.zero_grad()
            loss(decoder(encoder(ids))).backward()
            grads.append([p.grad.clone() for p in encoder.parameters()] + [decoder.decoder.bias.grad.clone()])
        bad["gradient of the loss"] += not all(torch.allclose(g, h, atol=1e-6, rtol=0)
                                               for g, h in zip(*grads, strict=True))
    for what, wrong in bad.items():
        tally("N7", f"{what} beside a plain reference", n, wrong, "shapes", "apart")


# --- S12: what is written down ------------------------------------------------------------------------------------

def test_no_text_is_printed_logged_warned_of_or_told_in_an_error(tmp_path, capfd, caplog, monkeypatch):
    caplog.set_level(0)
    df = toy_reviews(60).assign(text=lambda d: "canaryword " + d.text)
    df.loc[58:59, ["text", "label"]] = df.loc[0:1, ["text", "label"]].to_numpy()
    df.loc[57, ["text", "label"]] = [df.text[0], "pos" if df.label[0] == "neg" else "neg"]
    told = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for is_lm in (True, False):
            dls = TextDataLoaders.from_df(df, text_col="text", label_col="label", is_lm=is_lm, bs=8, min_freq=1,
                                          seed=0, path=tmp_path, valid_col=None)
            make = language_model_learner if is_lm else text_classifier_learner
            learn = make(dls, AWD_LSTM, config=TINY, pretrained=False, path=tmp_path)
            learn.fit_one_cycle(1, 1e-2, cbs=TerminateOnNaNCallback())
            learn.lr_find(num_it=4, show_plot=False)
            learn.export("bundle")
            print(dls.doctor())
        for bad in ([*df.text[:-1], None], [*df.text[:-1], 3.5], df.text[:0]):
            try:
                TextDataLoaders.from_df(df[:len(bad)].assign(text=bad), text_col="text", label_col="label")
            except Exception as e:
                told.append(str(e))
        for poison in POISONS.values():
            try:
                learn.fit(1, 0.1, cbs=[Before(0, *poison[:2]), TerminateOnNaNCallback()])
            except TrainingError as e:
                told.append(str(e))
    out, err = capfd.readouterr()
    assert len(told) == 3 + len(POISONS) and len(caught) > 2
    places = {"standard output": out, "standard error": err, "logging": caplog.text, "errors": " ".join(told),
              "warnings": " ".join(str(w.message) for w in caught)}
    tally("S12", "places where a canary text might show", len(places), sum("canaryword" in p for p in places.values()),
          "places", "shown")
