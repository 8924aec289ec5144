"""The facts that a saved learner keeps of its making: data, phases, rates and scores."""

from collections import Counter
from datetime import date
from typing import TYPE_CHECKING

from ulmfit_easy.bundle.record import versions, way
from ulmfit_easy.errors import short

if TYPE_CHECKING:
    from ulmfit_easy.data.dataloaders import DataLoaders
    from ulmfit_easy.learner.text_learner import TextLearner

MOST = 20  # classes that are named


def record_of(learn: "TextLearner") -> dict:
    """Return the facts of a learner, in sections. What is not known, as in a learner that was loaded, is left out."""
    dls = learn.dls
    tok = getattr(dls.tokenizer, "tok", None)
    recorder = getattr(learn, "recorder", None)  # none with default_cbs=False
    sections = {
        "scores": {"measured on": "the validation texts, after the last epoch",
                   **dict(zip(recorder.measures, recorder.values[-1], strict=True))}
        if recorder and recorder.values else {},
        "data": {**_rows(dls), **_classes(dls), **_columns(dls)},
        "model": {"architecture": type(learn.encoder).__name__, "vocabulary": len(dls.text_vocab),
                  "parameters": sum(p.numel() for p in learn.model.parameters()),
                  "reads": "both ways" if learn.encoder.one_way else way(dls.backwards),
                  **({"started from": learn.started_from, "words from that model": learn.n_matched}
                     if learn.started_from else {})},
        "language model": {},
        "training": {**({"phase": learn.phases} if learn.phases else {}), "saved with": versions(),
                     "date": date.today().isoformat()},
    }
    if before := learn.encoder_record:
        sections["language model"] = {"training texts": before["data"].get("training texts", 0),
                                      **before.get("scores", {}),
                                      **{k: v for k, v in before["training"].items() if k == "phase"}}
    return {"kind": "classifier" if dls.target.labelled else "language_model", "language": getattr(tok, "lang", None),
            **{name: facts for name, facts in sections.items() if facts}}


def phase_of(learn: "TextLearner") -> dict:
    """Return the facts of the fit that has just ended."""
    recorder = getattr(learn, "recorder", None)
    steps = {"epochs": len(recorder.values), "steps": len(recorder.lrs),
             "highest learning rate": max(recorder.lrs, default=0.0)} if recorder else {"epochs": learn.n_epoch}
    return {**steps, "frozen layer groups": learn.opt.frozen_idx if learn.opt is not None else 0,
            "batch size": learn.dls.bs}


def _rows(dls: "DataLoaders") -> dict:
    if not len(dls.train):
        return {}
    return {"training texts": dls.train.n_rows, "validation texts": getattr(dls.valid, "n_rows", 0)}


def _classes(dls: "DataLoaders") -> dict:
    if not (classes := dls.classes):
        return {}
    found: dict[str, object] = {"number of classes": len(classes)}
    if dls.target.one_class and len(dls.train) and len(classes) <= MOST:
        count: Counter[int] = Counter(dls.train.targets.tolist())
        found["texts of each class"] = {short(name): count[i] for i, name in enumerate(classes)}
    elif len(classes) <= MOST:
        found["classes"] = ", ".join(map(short, classes))
    return found


def _columns(dls: "DataLoaders") -> dict:
    columns = {"text column": dls.prepare.text_cols, "label column": dls.prepare.label_cols}
    return {name: ", ".join(map(short, cols)) for name, cols in columns.items() if cols}
