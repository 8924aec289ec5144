"""What a text user calls in fastai is here: the same name, the same parameters.

`pytest tests/parity/test_parity_signatures.py -rP` prints the count. signatures.json is made by make_signatures.py.
"""

import inspect
import json
from functools import reduce
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import ulmfit_easy

THEIRS = json.loads(Path(__file__).with_name("signatures.json").read_text(encoding="utf-8"))["names"]

# name in fastai -> where we have it
MOVED = {"Learner.export": "TextLearner.export"}  # only a text learner knows its vocabulary

# what we do not have, and why
NOT_HERE = {
    "LinearDecoder": "the output of a language model decodes in chunks; its decoder is a plain nn.Linear",
}

# (name, parameter of fastai) -> ours, for arguments that no call names
RENAMED = {
    **{(f"{rule}", given): "text" for rule, given in [
        ("fix_html", "x"), ("replace_rep", "t"), ("replace_wrep", "t"), ("spec_add_spaces", "t"),
        ("rm_useless_spaces", "t"), ("replace_all_caps", "t"), ("replace_maj", "t"), ("lowercase", "t")]},
    ("replace_space", "t"): "token",
    ("parent_label", "o"): "path",
    ("DataLoaders.test_dl", "test_items"): "items",
    ("SentenceEncoder", "bptt"): "seq_len",
    ("match_embeds", "old_wgts"): "old_weight",
    ("TextLearner.load_pretrained", "wgts_fname"): "weights",
    ("TextLearner.load_pretrained", "vocab_fname"): "vocab",
    ("Optimizer", "params"): "groups",
    **{(metric, given): name for given, name in [("inp", "pred"), ("targ", "target")]
       for metric in ("accuracy", "error_rate", "top_k_accuracy", "accuracy_multi", "mse", "mae", "msle")},
}  # fmt: skip

# parameters that we leave out, and why; each counts as missing
LEFT_OUT = {
    "Tokenizer": {"counter", "lengths", "mode", "sep"},  # what fastai keeps between its passes; ours has none
    "DataLoaders.test_dl": {"rm_type_tfms"},  # no typed transforms
    "Learner.predict": {"rm_type_tfms"},  # the same
    "untar_data": {"c_key", "force_download"},  # nothing is fetched
    "WeightDropout": {"layer_names"},  # the recurrent weight, always
    "SentenceEncoder": {"pad_idx"},  # lengths tell what is padding
    "PoolingLinearClassifier": {"bptt"},  # pooling knows of no windows
    "TextLearner.load_pretrained": {"model"},  # the learner's own
    "load_learner": {"pickle_module"},  # no pickles
    "Learner.export": {"pickle_module", "pickle_protocol"},  # the same
    "GatherPredsCallback": {"pickle_protocol"},  # no pickles
    "Recorder.plot_lr_find": {"return_fig"},  # the axes come back
    "MixedPrecision": {"amp_mode"},  # `dtype` says the same
    "Optimizer": {"cbs"},  # steps are torch's optimizers, not lists of functions
    "OptimWrapper": {"convert_groups"},  # groups are always converted
    "BCEWithLogitsLossFlat": {"axis", "floatify"},  # logits are (B, C), targets become floats
    "MSELossFlat": {"axis", "floatify"},  # the same
    "L1LossFlat": {"axis", "floatify"},  # the same
    "BrierScoreMulti": {"thresh"},  # the score is of probabilities
    "Interpretation": {"losses"},  # it computes them itself, in the one pass
    "ClassificationInterpretation": {"losses"},  # the same
}  # fmt: skip


def ours(name: str):
    """Our own thing of a name, wherever it is; None if there is none."""
    first, *rest = MOVED.get(name, name).split(".")
    for module in modules():
        if first in vars(module):
            try:
                return reduce(getattr, rest, vars(module)[first])
            except AttributeError:
                continue
    return None


def modules():
    yield import_module("ulmfit_easy.all")
    for found in walk_packages(ulmfit_easy.__path__, "ulmfit_easy."):
        if not found.name.endswith("__main__"):
            yield import_module(found.name)


def parameters(function) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self", "cls"}


@pytest.fixture(scope="module")
def found() -> dict:
    return {name: ours(name) for name in THEIRS}


def test_nineteen_names_of_twenty_are_here_and_the_others_have_a_reason(found):
    missing = {name for name, thing in found.items() if thing is None}
    print(f"{len(THEIRS) - len(missing)} of {len(THEIRS)} names")
    assert missing == set(NOT_HERE)
    assert len(missing) <= 0.05 * len(THEIRS)


def test_nineteen_parameters_of_twenty_are_here_and_the_others_have_a_reason(found):
    asked = [(name, p) for name, ps in THEIRS.items() for p in ps]
    there = {name: parameters(thing) for name, thing in found.items() if thing is not None}
    missing = {(name, p) for name, p in asked if RENAMED.get((name, p), p) not in there.get(name, ())}
    print(f"{len(asked) - len(missing)} of {len(asked)} parameters")
    listed = {(name, p) for name, ps in LEFT_OUT.items() for p in ps}
    assert {pair for pair in missing if pair[0] not in NOT_HERE} == listed
    assert len(missing) <= 0.05 * len(asked)
