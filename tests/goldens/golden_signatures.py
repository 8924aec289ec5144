"""Goldens of the doors: parameter names, their order and their plain defaults."""

import inspect

import fastai.text.all as fastai
from fastai.text.learner import LMLearner

LEARNER = ("__init__", "fit", "fit_one_cycle", "fit_flat_cos", "fit_sgdr", "fine_tune", "lr_find", "freeze",
           "freeze_to", "unfreeze", "validate", "get_preds", "predict", "show_results", "save", "load",
           "export", "summary", "show_training_loop", "no_bar", "no_mbar", "no_logging", "validation_context",
           "added_cbs", "removed_cbs", "add_cb", "add_cbs", "remove_cb", "remove_cbs", "create_opt", "to_bf16",
           "to_fp32")
CALLBACKS = ("ParamScheduler", "TrackerCallback", "SaveModelCallback", "EarlyStoppingCallback", "ReduceLROnPlateau",
             "TerminateOnNaNCallback", "GradientAccumulation", "GradientClip", "ShortEpochCallback", "SkipToEpoch",
             "BnFreeze", "CSVLogger", "ShowGraphCallback", "GatherPredsCallback", "FetchPredsCallback",
             "MCDropoutCallback", "CollectDataCallback")
FUNCTIONS = ("SchedNo", "SchedLin", "SchedCos", "SchedExp", "SchedPoly", "combine_scheds", "combined_cos", "valley",
             "slide", "minimum", "steep", "set_seed", "no_random")
METHODS = {
    fastai.Learner: LEARNER,
    fastai.TextLearner: ("__init__", "save_encoder", "load_encoder"),
    fastai.Recorder: ("plot_loss", "plot_sched", "plot_lr_find"),
}
DOORS = {
    "TextDataLoaders.from_df": fastai.TextDataLoaders.from_df,
    "TextDataLoaders.from_csv": fastai.TextDataLoaders.from_csv,
    "TextDataLoaders.from_folder": fastai.TextDataLoaders.from_folder,
    "language_model_learner": fastai.language_model_learner,
    "text_classifier_learner": fastai.text_classifier_learner,
    "get_language_model": fastai.get_language_model,
    "get_text_classifier": fastai.get_text_classifier,
    "AWD_LSTM": fastai.AWD_LSTM,
    "make_vocab": fastai.make_vocab,
    "lowercase": fastai.lowercase,
    "Adam": fastai.Adam,
    "LMLearner.predict": LMLearner.predict,
    "LRFinder": fastai.LRFinder,
} | {name: getattr(fastai, name) for name in (*CALLBACKS, *FUNCTIONS)} | {
    f"{cls.__name__}.{name}": getattr(cls, name) for cls, names in METHODS.items() for name in names}


def default(parameter: inspect.Parameter) -> str:
    """The default as text; `required` where there is none; the bare name of a function or a class."""
    value = parameter.default
    if value is inspect.Parameter.empty:
        return "required"
    return getattr(value, "__name__", None) or repr(value)


def signatures() -> dict:
    """door -> [name, default] of each parameter, without `self` and catch-alls."""
    catch_all = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {"doors": {door: [[p.name, default(p)] for p in inspect.signature(f).parameters.values()
                             if p.name not in ("self", "cls") and p.kind not in catch_all]
                      for door, f in DOORS.items()}}
