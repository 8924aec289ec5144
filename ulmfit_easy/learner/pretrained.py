"""Pretrained language models: where their weights come from, and how a learner takes them over."""

import re
import warnings
from pathlib import Path

from ulmfit_easy.bundle.artefact import load_state, load_weights
from ulmfit_easy.bundle.foreign import load_any, load_foreign
from ulmfit_easy.errors import FileError
from ulmfit_easy.files import read_json
from ulmfit_easy.learner.weights import model_file
from ulmfit_easy.models.remap import match_embeds
from ulmfit_easy.text.vocab import Vocab

NO_WEIGHTS = ("no pretrained weights were loaded: the model starts from random ones, and nothing was frozen. "
              "To use some, pass pretrained= the folder of an exported language model; "
              "pretrained=False starts from random weights without this warning")


def start(learn, pretrained, fnames):
    """The learner with pretrained weights, where they are asked for.

    Args:
        pretrained: a bundle's folder, or another library's checkpoint; False or True for none, the latter with a
            warning, which a classifier keeps for its first fit: `load_encoder` may follow.
        fnames: instead, the names of a weights file and a vocabulary under `path/models`, without suffixes: what
            `learn.save` wrote and a JSON list, or fastai's `.pth` and `.pkl`.
    """
    if fnames is not None:
        names = [re.sub(r"\.(pth|pkl|json)$", "", str(name)) for name in fnames]
        weights_file, words = (model_file(learn, name) for name in names)
        if weights_file.with_suffix(".pth").exists():
            _, vocab, weights = load_foreign(weights_file.with_suffix(".pth"), words.with_suffix(".pkl"))
        else:
            weights, _ = load_weights(weights_file)
            vocab = Vocab(read_json(words.with_suffix(".json")))
        return learn.load_pretrained({k.removeprefix("model."): v for k, v in weights.items()}, vocab, weights_file)
    if pretrained is True and learn.settings["kind"] == "language_model":
        warnings.warn(NO_WEIGHTS, stacklevel=3)
    elif pretrained is True:
        learn.warning = NO_WEIGHTS
    elif pretrained:
        config, vocab, weights = load_any(pretrained)
        if config.get("kind") != "language_model":
            raise FileError("E402", received=f"{pretrained}, a {config.get('kind')}", expected="a language model",
                            fix="pass the folder that a language model's learner exported")
        backwards = (config.get("data") or {}).get("backwards")
        if backwards not in (None, learn.dls.backwards):  # None: another library's file that does not tell
            raise direction_error(pretrained, backwards, learn.dls.backwards)
        return learn.load_pretrained(weights, vocab, Path(pretrained).name)
    return learn


def take_over(learn, weights, vocab, source):
    """See `TextLearner.load_pretrained`.

    An adaptive softmax cannot change its vocabulary, nor become another kind: then only the encoder is taken over, and
    a warning says so.
    """
    new, adaptive = learn.dls.text_vocab, "1.decoder.head.weight"
    if (adaptive in weights) != (adaptive in learn.model.state_dict()) or (adaptive in weights and vocab != new):
        if learn.settings["kind"] == "language_model":
            warnings.warn("an adaptive softmax fits no other vocabulary and no other softmax: only the encoder was "
                          "taken over, the decoder starts anew", stacklevel=4)
        weights = {k: v for k, v in weights.items() if k.startswith("0.")}
    matched = match_embeds(weights["0.encoder.weight"], weights.get("1.decoder.bias"), vocab, new)
    weights = {**weights, "0.encoder.weight": matched.weight, "0.encoder_dp.emb.weight": matched.weight}
    if "1.decoder.weight" in weights:  # the same rows again where it is tied
        weights["1.decoder.weight"] = match_embeds(weights["1.decoder.weight"], None, vocab, new).weight
    if matched.bias is not None:
        weights["1.decoder.bias"] = matched.bias
    encoder = {k.removeprefix("0."): v for k, v in weights.items() if k.startswith("0.")}
    if learn.settings["kind"] == "classifier" or len(encoder) == len(weights):
        load_state(learn.encoder, encoder, source)
    else:
        load_state(learn.model, weights, source)
    learn.n_matched = matched.n_matched
    if learn.verbose:
        print(f"{source}: {learn.n_matched:,} of {len(new):,} words matched, the others start from the mean row")
    return learn.freeze()


def direction_error(source, received, expected):
    """E402 for weights that read the other way than the data."""
    words = {True: "backwards", False: "forwards"}
    return FileError("E402", received=f"{source}, which reads {words.get(received, received)}",
                     expected=f"a model that reads {words[expected]}, as the data does",
                     fix=f"build the data with backwards={received}, or load the other model")
