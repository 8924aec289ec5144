"""Saving and loading the weights and the optimizer's state of a learner."""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from ulmfit_easy.bundle.artefact import load_state, load_weights, weights_place, write_weights
from ulmfit_easy.bundle.tensors import raw_bytes
from ulmfit_easy.data import ranks
from ulmfit_easy.errors import FileError, VocabError, some
from ulmfit_easy.models.adapters import apart, has_adapters, merged
from ulmfit_easy.processes import is_main
from ulmfit_easy.schema import path as place
from ulmfit_easy.schema import takes

if TYPE_CHECKING:
    from ulmfit_easy.data.dataloaders import DataLoaders
    from ulmfit_easy.learner.learner import Learner
    from ulmfit_easy.learner.optim.optimizer import Optimizer


L = TypeVar("L", bound="Learner")


def model_file(learn: "Learner", file: str | Path) -> Path:
    """Return the file of a name, `path/model_dir/name.safetensors`. A path with that suffix stays as it is."""
    file = Path(file)
    if file.suffix == ".safetensors" and (file.is_absolute() or file.exists()):
        return file
    return learn.path / learn.model_dir / f"{str(file).removesuffix('.safetensors')}.safetensors"


@takes({"file": place})
def save(learn: "Learner", file: str | Path, with_opt: bool = True) -> Path:
    """Write weights (and the optimizer's state) to `path/model_dir/file.safetensors`. Return the file."""
    return written(learn, file, with_opt)[0]


def written(learn: "Learner", file: str | Path, with_opt: bool) -> tuple[Path, str]:
    """Do what `save` does. Return the file and the SHA-256 of its content. Of several processes the main one writes."""
    if not is_main():
        return model_file(learn, file), ""
    tensors = {f"model.{k}": v for k, v in merged(learn.model).items()}
    opt = None
    if with_opt and learn.opt is not None and not has_adapters(learn.model):  # whose optimizer ends with them
        sd = learn.opt.state_dict()
        opt = {"hypers": sd["hypers"], "frozen_idx": sd["frozen_idx"]}
        tensors |= {f"opt.{i}.{k}": v for i, state in sd["state"].items() for k, v in state.items()
                    if isinstance(v, torch.Tensor)}
    path = weights_place(model_file(learn, file))
    return path, write_weights(path, tensors, {"opt": opt, **_meaning(learn.dls)})


def _meaning(dls: "DataLoaders") -> dict:
    """Return what the rows of the weights stand for, if the data know: words, direction, classes."""
    if getattr(dls, "text_vocab", None) is None:
        return {}
    classes = None if dls.classes is None else [str(c) for c in dls.classes]
    return {"vocab_sha256": dls.text_vocab.sha256, "backwards": dls.backwards, "classes": classes}


@takes({"file": place})
def load(learn: L, file: str | Path, device: torch.device | str | None = None, with_opt: bool = True,
         strict: bool = True, *, sha256: str | None = None) -> L:
    """Load weights that `save` wrote under that name. Return the learner.

    The optimizer stays as it is if the file has none, or with `with_opt=False`.

    Raises:
        VocabError: E302 if the weights are for another vocabulary, direction or classes, unless `strict` is False.
        FileError: E402 if you pass `sha256` and the file has another checksum.
    """
    path = model_file(learn, file)
    ranks.wait()  # for the main process, which may still be writing it
    tensors, metadata = load_weights(path, device or learn.dls.device)
    if sha256 is not None and metadata.get("sha256") != sha256:
        raise FileError("E402", received=f"{path}, which was written again since", expected="the weights of this fit",
                        fix="save under another name")
    for name, own in _meaning(learn.dls).items() if strict else ():
        if name in metadata and metadata[name] != own:
            theirs, own = (some(v) if isinstance(v, list) else v for v in (metadata[name], own))
            raise VocabError("E302", received=f"{path}, trained with {name}={theirs}",
                             expected=f"{name}={own}, as this learner's data have it",
                             fix="make the data as they were: text_vocab=, labels=, backwards=, or the same seed=")
    load_state(learn.model, apart(learn.model, _strip(tensors, "model.")), path, strict)
    if learn.opt is not None:
        learn.opt.weights_changed()
    if with_opt and metadata.get("opt") is not None:
        if learn.opt is None:
            learn.create_opt()
        state: dict = {}
        for name, tensor in _strip(tensors, "opt.").items():
            index, _, key = name.partition(".")
            state.setdefault(index, {})[key] = tensor.cpu() if key == "step" else tensor
        opt = metadata["opt"] if isinstance(metadata["opt"], dict) else {}
        check_opt_state(learn.opt, {**opt, "state": state}, path)
        learn.opt.load_state_dict({**opt, "state": {int(i): moments for i, moments in state.items()}})
    return learn


def weights_sha256(model: nn.Module) -> str:
    """Return the hash of a model's weights, the same for the model that an export in 16 bits gives back."""
    digest = hashlib.sha256()
    for name, t in sorted(model.state_dict().items()):
        t = t.detach().cpu().contiguous()
        t = t.half() if t.is_floating_point() else t
        digest.update(f"\0{name}\0{list(t.shape)}\0".encode())
        digest.update(raw_bytes(t) if t.numel() else b"")
    return digest.hexdigest()


MOMENTS = ("exp_avg", "exp_avg_sq", "momentum_buffer", "square_avg")  # torch keeps these in the weight's shape


def check_opt_state(opt: "Optimizer", state: dict, source: Path) -> None:
    """Raise FileError E402 unless a state is one of this optimizer: parameters and hyper-parameters as it has them."""
    try:
        shapes = [p.shape for group in opt.opt.param_groups for p in group["params"]]
        hypers, frozen = state["hypers"], state["frozen_idx"]
        fits = type(frozen) is int and 0 <= frozen <= len(opt.param_groups) and len(hypers) == len(opt.hypers)
        unused = {name for name, key in opt.names.items() if key is None}  # there once a schedule has set them
        fits = fits and all(h.keys() == hypers[0].keys() and h.keys() ^ own.keys() <= unused
                            for h, own in zip(hypers, opt.hypers, strict=True))
        fits = fits and all(isinstance(v, int | float) and math.isfinite(v) for h in hypers for v in h.values())
        fits = fits and all(0 <= int(i) < len(shapes) for i in state["state"])
        fits = fits and all(name not in MOMENTS or t is None or t.shape == shapes[int(i)]
                            for i, moments in state["state"].items() for name, t in moments.items())
    except (LookupError, TypeError, ValueError, AttributeError):
        fits = False
    if not fits:
        raise FileError("E402", received=f"{source}, whose optimizer's state is none of this optimizer",
                        expected="the optimizer and the layer groups of the learner that saved it",
                        fix="make the learner as it was; for the weights of a saved learner alone pass with_opt=False")


def _strip(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
