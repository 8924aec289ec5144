"""Goldens of models: pooling, head, language model, regularizers, classifier, moved embeddings."""

from types import SimpleNamespace

import torch
from fastai.callback.rnn import RNNRegularizer
from fastai.layers import LinBnDrop
from fastai.losses import CrossEntropyLossFlat
from fastai.text.learner import match_embeds
from fastai.text.models import awdlstm
from fastai.text.models.core import (
    AWD_LSTM,
    PoolingLinearClassifier,
    get_language_model,
    get_text_classifier,
    masked_concat_pool,
)

SIZES = {"emb_sz": 5, "n_hid": 7, "n_layers": 3, "pad_token": 1}
DROPOUT = {"output_p": .1, "hidden_p": .15, "input_p": .25, "embed_p": .02, "weight_p": .2}
LM_CONFIG = {**SIZES, **DROPOUT, "tie_weights": True, "out_bias": True}
CLAS_CONFIG = {**SIZES, **DROPOUT}
V, C = 12, 3


def short(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor with three decimals, so that a golden file is small."""
    return (tensor * 1000).round() / 1000


def randomize(model: torch.nn.Module, seed: int) -> dict:
    """Give the model random weights and statistics of three decimals, variances positive; gives the state."""
    gen = torch.Generator().manual_seed(seed)
    state = {}
    for name, old in model.state_dict().items():
        if not old.is_floating_point():
            state[name] = old
            continue
        new = torch.rand(old.shape, generator=gen) * 2 - 1
        state[name] = short(new.abs() + .5 if name.endswith("running_var") else new)
    for prefix in ("0.", "0.module."):
        for tied in {f"{prefix}encoder_dp.emb.weight", "1.decoder.weight"} & set(state):
            state[tied] = state.get(f"{prefix}encoder.weight", state[tied])
    model.load_state_dict(state)
    return state


def stored(state: dict) -> dict:
    """A state dict as JSON: name -> tensor; a tied copy is stored as the name of its twin."""
    out, seen = {}, {}
    for name, tensor in state.items():
        out[name] = seen.setdefault(id(tensor), name) if id(tensor) in seen else tensor
        seen.setdefault(id(tensor), name)
    return out


def pooling() -> dict:
    """[last, max, mean], for batches in which fastai's own bptt grid does no harm."""
    cases = []
    batches = [("equal_lengths", [4, 4, 4], 4), ("single_row", [3], 3), ("one_token", [1], 1),
               ("padded_within_one_window", [4, 2, 1], 4), ("single_padded_row", [2], 5)]
    for name, lengths, steps in batches:
        gen = torch.Generator().manual_seed(len(cases))
        output = short(torch.randn(len(lengths), steps, 3, generator=gen))           # (B, T, H)
        mask = torch.arange(steps)[None] >= torch.tensor(lengths)[:, None]            # (B, T)
        pooled = masked_concat_pool(output, mask, bptt=steps)                         # (B, 3H)
        cases.append({"name": name, "lengths": lengths, "output": output, "mask": mask, "pooled": pooled})
    return {"cases": cases}


def layer(module: torch.nn.Module) -> list:
    """A layer in a few words: its type and what sets its size."""
    name = type(module).__name__
    if name == "Linear":
        return [name, module.in_features, module.out_features, module.bias is not None]
    if name == "BatchNorm1d":
        return [name, module.num_features]
    if name == "Dropout":
        return [name, module.p]
    if name == "SigmoidRange":
        return [name, module.low, module.high]
    return [name]


def head() -> dict:
    """The layers of the head for several settings, and its output with given weights."""
    shapes, settings = {}, {"default": {}, "drop_mult_half": {"drop_mult": .5},
                            "regression": {"y_range": (0, 5)},
                            "two_hidden": {"lin_ftrs": [20, 10], "ps": [.3, .2]}}
    for name, options in settings.items():
        layers = get_text_classifier(AWD_LSTM, 10, C, **options)[1].layers
        shapes[name] = {"options": options,
                        "layers": [[layer(m) for m in block] if isinstance(block, LinBnDrop) else layer(block)
                                   for block in layers]}
    gen = torch.Generator().manual_seed(3)
    output = short(torch.randn(4, 5, 4, generator=gen))                               # (B, T, E)
    mask = torch.zeros(4, 5, dtype=torch.bool)                                        # (B, T)
    model = PoolingLinearClassifier([12, 6, C], [.4, .1], bptt=5).eval()
    state = randomize(model, 1)
    with torch.no_grad():
        logits = model((output, mask))[0]                           # (B, C)
    return {"shapes": shapes, "dims": [12, 6, C], "ps": [.4, .1], "state": stored(state), "output": output,
            "logits": logits}


def lm_loss() -> dict:
    """A tiny language model on two batches of one stream: logits and loss, state carried over; then reset."""
    model = get_language_model(AWD_LSTM, V, config=LM_CONFIG).eval()
    state = randomize(model, 2)
    model.reset()
    gen = torch.Generator().manual_seed(4)
    stream = torch.randint(0, V, (2, 9), generator=gen)                               # (B, 2T + 1)
    loss_func, batches = CrossEntropyLossFlat(), []
    with torch.no_grad():
        for start, reset in [(0, False), (4, False), (4, True)]:
            if reset:
                model.reset()
            x, y = stream[:, start:start + 4], stream[:, start + 1:start + 5]         # (B, T)
            logits, raw, _ = model(x)                                                 # (B, T, V), (B, T, E)
            batches.append({"x": x, "y": y, "after_reset": start == 0 or reset, "logits": logits, "raw": raw,
                            "loss": loss_func(logits, y)})
    return {"config": LM_CONFIG, "vocab_sz": V, "state": stored(state), "batches": batches,
            "groups": [[list(p.shape) for p in group] for group in awdlstm.awd_lstm_lm_split(model)],
            "default_lm_config": awdlstm.awd_lstm_lm_config,
            "default_clas_config": awdlstm.awd_lstm_clas_config}


def regularizers() -> dict:
    """What activation regularization adds to the loss, by alpha and beta, for given states."""
    gen = torch.Generator().manual_seed(5)
    raw, dropped = (short(torch.randn(2, 4, 3, generator=gen)) for _ in range(2))     # (B, T, E)
    added = []
    for alpha, beta in [(2., 1.), (2., 0.), (0., 1.), (.5, .25)]:
        callback = RNNRegularizer(alpha, beta)
        callback.learn = SimpleNamespace(training=True, loss_grad=torch.tensor(0.),
                                         rnn=SimpleNamespace(raw_out=raw, out=dropped))
        callback.after_loss()
        added.append({"alpha": alpha, "beta": beta, "added": callback.learn.loss_grad})
    return {"raw": raw, "dropped": dropped, "added": added}


def classifier() -> dict:
    """A tiny classifier on single texts (where fastai reads every token) around window and max_len edges."""
    seq_len, max_len = 4, 8
    model = get_text_classifier(AWD_LSTM, V, C, seq_len, CLAS_CONFIG, lin_ftrs=[6], max_len=max_len)
    state = randomize(model.eval(), 6)
    gen, texts = torch.Generator().manual_seed(7), []
    for n in (1, 3, 4, 5, 8, 9, 12, 13, 15):
        ids = torch.randint(2, V, (1, n), generator=gen)                              # (1, T)
        with torch.no_grad():
            kept, _ = model[0](ids)
            logits = model(ids)[0]         # (1, kept, E), (1, C)
        texts.append({"ids": ids[0], "kept_tokens": kept.shape[1], "logits": logits[0]})
    return {"config": CLAS_CONFIG, "vocab_sz": V, "n_class": C, "seq_len": seq_len, "max_len": max_len,
            "lin_ftrs": [6], "state": stored(state), "texts": texts,
            "groups": [[list(p.shape) for p in group] for group in awdlstm.awd_lstm_clas_split(model)]}


def embeds() -> dict:
    """Embedding rows and decoder bias for a new vocabulary: known words keep theirs, others get the mean."""
    gen = torch.Generator().manual_seed(8)
    weight, bias = short(torch.randn(5, 3, generator=gen)), short(torch.randn(5, generator=gen))
    old, new = ["xxunk", "xxpad", "the", "film", "good"], ["xxunk", "xxpad", "good", "bad", "the", "book"]
    moved = match_embeds({"0.encoder.weight": weight.clone(), "1.decoder.bias": bias.clone()}, old, new)
    return {"old_vocab": old, "new_vocab": new, "weight": weight, "bias": bias,
            "new_weight": moved["0.encoder.weight"], "new_bias": moved["1.decoder.bias"]}
