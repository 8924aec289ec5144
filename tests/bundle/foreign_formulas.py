"""What a checkpoint of another library computes, from the formulas, on the file's own names; and what we do."""

import torch

from ulmfit_easy.bundle.artefact import load_state
from ulmfit_easy.models.language_model import get_language_model
from ulmfit_easy.text.special import SPECIAL_TOKENS

TEXTS = ["xxbos the film was good .", "xxbos a bad plot , xxup never again", "story of music and film", "unseen the"]


def their_logits(file, tokens) -> dict[str, float]:
    """The logit of every word after some tokens, by the word that text met (fastai: the last of its name)."""
    place = {file.ours.get(word, word.removeprefix("▁")): i for i, word in enumerate(file.words)}
    state = file.state
    x = state["0.encoder.weight"][[place.get(token, place["xxunk"]) for token in tokens]]  # (T, E)
    layer = 0
    while any(key.startswith(f"0.rnns.{layer}.") for key in state):
        own = {key.split(".", 3)[3]: value for key, value in state.items() if key.startswith(f"0.rnns.{layer}.")}
        x = qrnn(x, own, first=layer == 0) if any("linear" in key for key in own) else lstm(x, own)
        layer += 1
    logits = x[-1] @ state["1.decoder.weight"].T  # (V,)
    if "1.decoder.bias" in state:
        logits += state["1.decoder.bias"]
    return {word: logits[i].item() for word, i in place.items() if word != "xxfake"}


def lstm(x, own):
    """One LSTM over x (T, E), gates i, f, g, o."""
    raw = own.get("weight_hh_l0_raw", own.get("module.weight_hh_l0_raw"))
    h = c = torch.zeros(raw.shape[1])
    out = []
    for x_t in x:
        gates = (own["module.weight_ih_l0"] @ x_t + own["module.bias_ih_l0"] + raw @ h + own["module.bias_hh_l0"])
        i, f, g, o = gates.chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        out.append(h)
    return torch.stack(out)  # (T, H)


def qrnn(x, own, first):
    """One QRNN over x (T, E), parts z, f, o; the first layer looks one token back."""
    if first:
        x = torch.cat([x, torch.cat([torch.zeros(1, x.shape[1]), x[:-1]])], dim=1)  # (T, 2E)
    (weight,) = [value for key, value in own.items() if key.endswith("linear.weight_raw")]
    (bias,) = [value for key, value in own.items() if key.endswith("linear.module.bias")]
    c, out = 0, []
    for x_t in x:
        z, f, o = (weight @ x_t + bias).chunk(3)
        c = f.sigmoid() * z.tanh() + (1 - f.sigmoid()) * c
        out.append(o.sigmoid() * c)
    return torch.stack(out)  # (T, H)


def our_logits(model, vocab, tokens) -> dict[str, float]:
    """The logit of every word after some tokens, from a model of ours."""
    names = {word.removeprefix("▁"): i for i, word in enumerate(vocab) if word != "xxfake"}
    ids = torch.tensor([[names.get(token, 0) for token in tokens]])
    with torch.no_grad():
        logits = model.eval()(ids).logits()[0, -1]  # (V,)
    return {word: logits[i].item() for word, i in names.items()}


def model_of(bundle):
    """The language model of a bundle."""
    model = get_language_model(bundle.config["encoder"]["name"], len(bundle.vocab), bundle.config["encoder"]["config"])
    load_state(model, bundle.weights, "the bundle")
    return model


def probs(logits, words):
    return torch.tensor([logits[word] for word in words]).softmax(0)  # (V,)


def same_guesses(file, model, vocab):
    """Assert that both give each of the file's words the same probability, after several texts."""
    for text in TEXTS:
        theirs, ours = their_logits(file, text.split()), our_logits(model, vocab, text.split())
        assert theirs.keys() <= ours.keys() and ours.keys() - theirs.keys() <= set(SPECIAL_TOKENS)
        words = sorted(theirs)
        assert len(words) >= 41 and max(theirs.values()) - min(theirs.values()) > 1
        torch.testing.assert_close(probs(ours, words), probs(theirs, words), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close([ours[w] for w in words], [theirs[w] for w in words], rtol=1e-4, atol=1e-5)
