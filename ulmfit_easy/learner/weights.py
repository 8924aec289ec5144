"""Saving and loading the weights and the optimizer's state of a learner."""

from pathlib import Path

import torch

from ulmfit_easy.bundle.artefact import load_state, load_weights, save_weights
from ulmfit_easy.errors import VocabError, some


def model_file(learn, file) -> Path:
    """Where a name is saved: `path/model_dir/name.safetensors`; a path with that suffix is taken as it is."""
    file = Path(file)
    if file.suffix == ".safetensors" and (file.is_absolute() or file.exists()):
        return file
    return learn.path / learn.model_dir / f"{str(file).removesuffix('.safetensors')}.safetensors"


def save(learn, file, with_opt=True) -> Path:
    """See `Learner.save`."""
    tensors = {f"model.{k}": v for k, v in learn.model.state_dict().items()}
    opt = None
    if with_opt and learn.opt is not None:
        sd = learn.opt.state_dict()
        opt = {"hypers": sd["hypers"], "frozen_idx": sd["frozen_idx"]}
        tensors |= {f"opt.{i}.{k}": v for i, state in sd["state"].items() for k, v in state.items()
                    if isinstance(v, torch.Tensor)}
    return save_weights(model_file(learn, file), tensors, opt=opt, **_meaning(learn.dls))


def _meaning(dls) -> dict:
    """What the rows of the weights stand for, where the data know: words, direction, classes."""
    if getattr(dls, "text_vocab", None) is None:
        return {}
    classes = None if dls.classes is None else [str(c) for c in dls.classes]
    return {"vocab_sha256": dls.text_vocab.sha256, "backwards": dls.backwards, "classes": classes}


def load(learn, file, device=None, with_opt=True, strict=True):
    """See `Learner.load`. Without a saved optimizer, or with `with_opt=False`, the learner's own stays as it is.

    Raises: E302 for weights of another vocabulary, direction or other classes, unless `strict` is False.
    """
    path = model_file(learn, file)
    tensors, metadata = load_weights(path, device or learn.dls.device)
    for name, own in _meaning(learn.dls).items() if strict else ():
        if name in metadata and metadata[name] != own:
            theirs, own = (some(v) if isinstance(v, list) else v for v in (metadata[name], own))
            raise VocabError("E302", received=f"{path}, trained with {name}={theirs}",
                             expected=f"{name}={own}, as this learner's data have it",
                             fix="make the data as they were: text_vocab=, labels=, backwards=, or the same seed=")
    load_state(learn.model, _strip(tensors, "model."), path, strict)
    if learn.opt is not None:
        learn.opt.weights_changed()
    if with_opt and metadata.get("opt") is not None:
        if learn.opt is None:
            learn.create_opt()
        state: dict = {}
        for name, tensor in _strip(tensors, "opt.").items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = tensor.cpu() if key == "step" else tensor
        learn.opt.load_state_dict({"state": state, **metadata["opt"]})
    return learn


def _strip(tensors, prefix):
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
