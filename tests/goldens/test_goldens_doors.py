"""The doors that fastai has take fastai's parameters, in fastai's order, with fastai's defaults."""

import inspect
import json
from functools import reduce
from importlib import import_module
from pathlib import Path

import pytest

THEIRS = json.loads((Path(__file__).parent / "signatures.json").read_text(encoding="utf-8"))["doors"]

# first name of a door -> the module that has it
HOMES = {
    "AWD_LSTM": "models.awd_lstm", "get_language_model": "models.language_model",
    "get_text_classifier": "models.classifier", "lowercase": "text.rules", "make_vocab": "text.vocab",
    "Adam": "learner.optim.optimizer", "Learner": "learner.learner", "Recorder": "learner.callbacks.recorder",
    "TextDataLoaders": "learner.text_data", "TextLearner": "learner.text_learner",
    "LMLearner": "learner.text_learner",
    "language_model_learner": "learner.text", "text_classifier_learner": "learner.text",
    "ParamScheduler": "learner.optim.schedule", "LRFinder": "learner.lr_find",
    **dict.fromkeys(("set_seed", "no_random"), "learner.seeds"),
    **dict.fromkeys(("valley", "minimum"), "learner.lr_find"),
    **dict.fromkeys(("slide", "steep", "SchedNo", "SchedLin", "SchedPoly"), "fastai.rates"),
    **dict.fromkeys(("SchedCos", "SchedExp", "combine_scheds", "combined_cos"), "learner.optim.schedule"),
    **dict.fromkeys(("TrackerCallback", "SaveModelCallback", "EarlyStoppingCallback", "ReduceLROnPlateau"),
                    "learner.callbacks.tracking"),
    "TerminateOnNaNCallback": "learner.callbacks.finite", "CSVLogger": "fastai.loggers",
    **dict.fromkeys(("GradientAccumulation", "GradientClip"), "learner.callbacks.training"),
    **dict.fromkeys(("GatherPredsCallback", "MCDropoutCallback"), "learner.callbacks.preds"),
    **dict.fromkeys(("ShortEpochCallback", "SkipToEpoch", "BnFreeze", "FetchPredsCallback", "CollectDataCallback",
                     "ShowGraphCallback"), "fastai.callbacks"),
}  # fmt: skip

# door of fastai -> where we have it
MOVED = {"Learner.export": "TextLearner.export"}  # only a text learner knows its vocabulary

# door -> parameters of fastai that we leave out, on purpose
DROPPED = {
    "Learner.get_preds": {"pickle_protocol"},  # no pickles
    "GatherPredsCallback": {"pickle_protocol"},  # no pickles
    "Learner.predict": {"rm_type_tfms"},  # no typed transforms
    "Learner.save": {"pickle_protocol"},  # no pickles
    "Learner.export": {"pickle_module", "pickle_protocol"},  # no pickles
    "valley": {"num_it"}, "minimum": {"num_it"}, "steep": {"num_it"}, "slide": {"num_it"},  # never used there
    "Recorder.plot_lr_find": {"return_fig", "nms"},  # the axes come back; suggestions carry their names
}  # fmt: skip

# (door, parameter of fastai) -> our name for it
RENAMED = {("lowercase", "t"): "text",
           ("Learner.add_cb", "cb"): "cbs", ("Learner.remove_cb", "cb"): "cbs"}  # one or several, it is one method

# (door, parameter) -> our default, where it differs on purpose
DEFAULTS = {("Learner.export", "fname"): "'export'",  # a folder, not a pickle
            ("Learner.__init__", "lr"): "None",  # the rate that `partial(Adam, lr=...)` names, or fastai's 0.001
            ("LMLearner.predict", "decoder"): "None",  # the tokenizer knows how its pieces go together
            **dict.fromkeys([("text_classifier_learner", "seq_len"), ("get_text_classifier", "seq_len"),
                             ("TextLearner.__init__", "alpha"), ("TextLearner.__init__", "beta")], "None")}
# the last four are the encoder's own: those of fastai for an AWD_LSTM, others for a transformer


@pytest.mark.parametrize("door", sorted(THEIRS))
def test_the_door_takes_fastais_arguments_in_fastais_order(door):
    """New parameters are keyword-only; names handed on to another door may hide behind `**kwargs`."""
    theirs = {RENAMED.get((door, name), name): default for name, default in THEIRS[door]
              if name not in DROPPED.get(door, ())}
    first, *rest = MOVED.get(door, door).split(".")
    function = reduce(getattr, rest, getattr(import_module(f"ulmfit_easy.{HOMES[first]}"), first))
    parameters = inspect.signature(function).parameters
    ours = {name: p for name, p in parameters.items() if name not in ("self", "cls", "learn")}
    hands_on = any(p.kind is p.VAR_KEYWORD for p in ours.values())
    expected = [name for name in theirs if name in ours or not hands_on]
    assert [name for name in ours if name in theirs] == expected
    new = [str(p) for name, p in ours.items() if name not in theirs and p.kind is p.POSITIONAL_OR_KEYWORD]
    assert new == []
    defaults = {name: shown(p) for name, p in ours.items() if name in theirs}
    assert defaults == {name: DEFAULTS.get((door, name), theirs[name]) for name in defaults}


def shown(parameter: inspect.Parameter) -> str:
    """A default as the golden writes it: `required` if there is none, the name of a function or class."""
    value = parameter.default
    if value is inspect.Parameter.empty:
        return "required"
    return getattr(value, "__name__", None) or repr(value)
