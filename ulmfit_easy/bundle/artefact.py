"""Weights and vocabularies as files that run no code when they are read: safetensors and JSON.

A file of weights carries the SHA-256 of all that is in it. A bundle is a folder of three files: `model.safetensors`
(with the hashes of the other two in its metadata), `vocab.json` and `config.json`. It is written next to its place and
then renamed, so it is whole or absent. One changed bit in any of the three is found when it is read. What was checked
is in memory then, and no later change of the files reaches it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from ulmfit_easy.bundle.format1 import upgraded
from ulmfit_easy.bundle.parts import check_config, refusing
from ulmfit_easy.bundle.record import is_record, versions, write_record
from ulmfit_easy.bundle.tensors import not_finite, raw_bytes, read_tensors
from ulmfit_easy.errors import ArgumentError, FileError, some
from ulmfit_easy.files import atomic_folder, atomic_path, existing, json_of, read_json, sha256_bytes, write_json
from ulmfit_easy.models.archs import sizes_of
from ulmfit_easy.places import file_place, members
from ulmfit_easy.reprs import compact, described
from ulmfit_easy.schema import plain
from ulmfit_easy.text.vocab import Vocab

FORMAT = 2
WEIGHTS_FORMAT = 1  # of a file of weights
FILES = ("model.safetensors", "vocab.json", "config.json")
# All that the weights of a bundle said before they carried hashes. Today's say more, under `sha256` or, if a bit of
# that name is wrong, under another name. So a file without a hash is one of the first, or it is refused.
FIRST = {"format", "aliases", "vocab_sha256"}


class Bundle(NamedTuple):
    """The result of `load_bundle`: settings (always in today's format), vocabulary and weights."""

    config: dict
    vocab: Vocab
    weights: dict[str, Tensor]

    def __repr__(self) -> str:
        n = sum(weight.numel() for weight in self.weights.values())
        return described(self, self.config.get("task"), self.config.get("encoder", {}).get("name"),
                         self.vocab.told, f"{compact(n)} weights")


def save_weights(path: str | Path, weights: dict[str, Tensor], *, half: bool = False, **metadata: Any) -> Path:
    """Write tensors to one safetensors file, atomically. A tensor under two names (tied weights) is stored once.

    Args:
        weights: a state dict, tensors of any shape.
        half: store float32 as float16. E603 for a weight too large for it.
        metadata: JSON values to keep next to them.

    Raises: What `weights_place` raises.
    """
    path = weights_place(path)
    write_weights(path, weights, metadata, half)
    return path


def storage_of(tensor: Tensor) -> tuple:
    """Return what is equal for two names of one tensor, such as tied weights."""
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


def write_weights(path: Path, weights: dict[str, Tensor], metadata: dict, half: bool = False) -> str:
    """Write as `save_weights`. Return the SHA-256 of the content, which `load_weights` finds as `sha256`."""
    stored, aliases, seen = dict[str, Tensor](), dict[str, str](), dict[tuple | str, str]()
    for name, tensor in weights.items():
        key = storage_of(tensor) if tensor.numel() else name
        if key in seen:
            aliases[name] = seen[key]
        else:
            seen[key] = name
            tensor = tensor.detach().cpu().contiguous()
            stored[name] = _halved(tensor, name) if half and tensor.dtype == torch.float32 else tensor
    about = {"format": WEIGHTS_FORMAT, "aliases": aliases, **metadata}
    about = json.loads(json.dumps(about, default=plain))  # rates may be numbers of numpy
    about["sha256"] = _sha256(stored, about)
    with atomic_path(path) as tmp:
        save_file(stored, tmp, {"ulmfit_easy": json.dumps(about)})  # one entry: it writes several in any order
        tmp.chmod(0o644)  # safetensors makes it readable by its owner only: a class could not share it
    return about["sha256"]


def weights_place(path: str | Path) -> Path:
    """Return the path, if weights may be written there.

    Raises: FileError E412 for a file that this library did not write, E411 as `file_place`.
    """
    path = file_place(path)
    if path.is_file() and path.stat().st_size and not is_weights(path):
        raise FileError("E412", received=f"{path}, a file that this library did not write",
                        expected="a new name, or weights of this library to replace",
                        fix="choose another name, or move that file away")
    return path


def is_weights(path: Path) -> bool:
    """Tell if a file begins as those of `save_weights` do."""
    with open(path, "rb") as f:
        return f.read(64)[8:].replace(b" ", b"").startswith(b'{"__metadata__":{"ulmfit_easy":')


def foreign_to_bundle(path: Path) -> list[str]:
    """Return the names of what in a folder is not of a bundle. All of them if nothing proves that it is one."""
    names = [part.name for part in members(path) if not is_record(part)]
    if others := [name for name in names if name not in FILES or not (path / name).is_file()]:
        return others
    if FILES[0] in names:
        return [] if is_weights(path / FILES[0]) else names
    try:  # half of one, left by a kill
        config = read_json(path / FILES[2], 16 << 20)
    except FileError:
        return names
    known = isinstance(config, dict) and ({"format", "encoder", "text"} <= config.keys()
                                          or {"format", "arch", "data"} <= config.keys())
    return [] if known else names


def _halved(tensor: Tensor, name: str) -> Tensor:
    if (found := tensor.abs().max().item() if tensor.numel() else 0) > torch.finfo(torch.float16).max:
        raise ArgumentError("E603", received=f"half=True for {name} with {found:g} in it",
                            expected="weights that 16 bits can hold, up to 65,504", fix="store it with half=False")
    return tensor.half()


def _sha256(stored: dict[str, Tensor], about: dict) -> str:
    """Return the hash of the metadata, and of each tensor's name, type, shape and bytes, in the order of the names."""
    digest = hashlib.sha256(json.dumps(about).encode())
    for name, tensor in sorted(stored.items()):
        digest.update(f"\0{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        digest.update(raw_bytes(tensor) if tensor.numel() else b"")
    return digest.hexdigest()


def load_weights(path: str | Path, device: torch.device | str = "cpu") -> tuple[dict[str, Tensor], dict]:
    """Tensors and metadata of a file from `save_weights`. Tied names share one tensor again.

    Those of the first versions have no `sha256`.

    Raises: FileError E404 where nothing is, E401 for any other kind of file (pickles are never opened), E406 for one
        that was damaged.
    """
    path = existing(path)
    try:
        weights, texts = read_tensors(path)
        metadata = json_of(texts["ulmfit_easy"].encode())
        if type(metadata["format"]) is not int or not 1 <= metadata["format"] <= WEIGHTS_FORMAT:
            raise ValueError(f"format {metadata['format']}, newer than {WEIGHTS_FORMAT}")
        is_first = metadata.keys() == FIRST
        if not is_first:
            expected = metadata.pop("sha256")
            if expected != (found := _sha256(weights, metadata)):
                raise FileError("E406", received=f"{path}, whose content has the SHA-256 {found}",
                                expected=f"{expected!s:.64}", fix="it was damaged or changed: copy or save it again")
            metadata["sha256"] = found
        weights = {name: t.to(device) for name, t in weights.items()}
        aliases = {name: weights[stored] for name, stored in metadata.pop("aliases").items()}
    except FileError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OSError, RecursionError, RuntimeError) as e:
        raise FileError("E401", received=f"{path}, which cannot be read ({type(e).__name__}: {e})",
                        expected="a safetensors file written by this library",
                        fix="save it again with learn.save, learn.save_encoder or learn.export") from e
    return {**weights, **aliases}, metadata


def save_bundle(path: str | Path, weights: dict[str, Tensor], vocab: Vocab, config: dict, *, half: bool = False,
                record: dict | None = None) -> Path:
    """Write a bundle folder, atomically. An older one in its place is replaced only when the new one is whole.

    Args:
        weights: the tensors by name.
        vocab: the vocabulary of the model.
        config: the settings that `load_bundle` checks and needs.
        half: store float32 as float16, in half the space.
        record: facts about the training, for `README.md` and `training.json`. Loading does not read them.

    Raises: E412 if the folder holds anything that is not of a bundle.
    """
    path = Path(path)
    with atomic_folder(path, foreign_to_bundle) as tmp:
        write_json(tmp / FILES[1], vocab.config())
        write_json(tmp / FILES[2], {"format": FORMAT, **config, "made_with": versions()})
        save_weights(tmp / FILES[0], weights, half=half, vocab_sha256=vocab.sha256,
                     config_sha256=_config_sha256(read_json(tmp / FILES[2])))
        if record:
            write_record(tmp, path.name, record)
    return path


def _config_sha256(config: dict) -> str:
    """Return the hash of what a config says, however it is laid out."""
    return sha256_bytes(json.dumps(config, sort_keys=True).encode())


def load_bundle(path: str | Path) -> Bundle:
    """Read a bundle folder, and check that its parts belong together.

    Raises:
        FileError: E404 if a part is missing. E401 if a file is of another kind, or has an unknown setting. E402 if
            the parts do not belong together. E406 if the weights are damaged.
        VocabError: E303 if `vocab.json` is not a vocabulary.
    """
    path = Path(path)
    if not path.exists() and (path.with_suffix("") / FILES[0]).exists():
        raise FileError("E404", received=f"the path {path}, where nothing is", expected="the folder of a model",
                        fix=f"pass {path.with_suffix('')}, the folder that learn.export wrote")
    models = sorted(file.parent for file in path.glob(f"*/{FILES[0]}"))
    if models and not (path / FILES[0]).exists():
        raise FileError("E404", received=f"{path}, which holds {some(m.name for m in models)}",
                        expected="the folder of one model",
                        fix=f"pass {models[0]}; ULMFiT.load and `ulmfit predict` take what `ulmfit train` wrote")
    existing(path)
    for name in FILES:
        existing(path / name)
    stored = read_json(path / FILES[2], 16 << 20)
    check_format(stored, path)
    weights, metadata = load_weights(path / FILES[0])
    vocab = Vocab.from_config(read_json(path / FILES[1]))
    if metadata.get("vocab_sha256") != vocab.sha256:
        raise FileError("E402", received=f"{path} with a vocabulary of SHA-256 {vocab.sha256[:12]}",
                        expected=f"the one the weights were trained with, {str(metadata.get('vocab_sha256'))[:12]}",
                        fix="keep the three files of a bundle together, as they were written")
    if metadata.get("config_sha256", found := _config_sha256(stored)) != found:
        raise FileError("E402", received=f"{path} with settings of SHA-256 {found[:12]}",
                        expected=f"those the weights were written with, {str(metadata['config_sha256'])[:12]}",
                        fix="keep config.json as it was written; other settings are for a new learner")
    config = current(stored, path)
    check_config(config, vocab, weights, path)
    return Bundle(config, vocab, weights)


def check_format(config: Any, source: str | Path) -> None:
    """Raise FileError E401 for a config.json of a newer format, or of none."""
    known = config if isinstance(config, dict) else {}
    if type(form := known.get("format")) is not int or not 1 <= form <= FORMAT:
        raise FileError("E401", received=f"{source} in format {form!r:.20}, made with "
                        f"{known.get('made_with')!r:.99}", expected=f"format {FORMAT}, as {versions()} writes it",
                        fix="load it with the version of ulmfit_easy that wrote it, or a newer one")


def current(config: Any, source: str | Path) -> dict:
    """Return what a config.json says, in today's format. Raises FileError E401 for a newer format, or none."""
    check_format(config, source)
    if config["format"] == FORMAT:
        return {name: value for name, value in config.items() if name not in ("format", "made_with")}
    with refusing(source):
        return upgraded(config)


def load_state(model: torch.nn.Module, weights: Mapping[str, Tensor], source: str | Path, strict: bool = True) -> None:
    """Copy weights into a model by name.

    Raises: FileError E402 for weights that are no finite numbers. E402 with the sizes that do not fit or, if none is
        known, with the tensors.
    """
    own = model.state_dict()
    wrong = [f"{k} {tuple(weights[k].shape)} {weights[k].dtype} for {tuple(own[k].shape)} {own[k].dtype}"
             for k in own if k in weights and (own[k].shape != weights[k].shape or
                                               own[k].is_floating_point() != weights[k].is_floating_point())]
    missing, extra = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    if wrong or (strict and (missing or extra)):
        received = f"wrong shapes: {wrong[:3]}, missing: {missing[:3]}, unknown: {extra[:3]}"
        expected = "the weights of a model of the same sizes"
        theirs, ours = sizes_of(weights), sizes_of(own)
        if differ := [name for name in theirs.keys() & ours.keys() if theirs[name] != ours[name]]:
            received, expected = (", ".join(f"{k}={v}" for k, v in sizes.items() if k in differ)
                                  for sizes in (theirs, ours))
        raise FileError("E402", received=f"{source} with {received}", expected=expected,
                        fix="build the model with the architecture, config and vocabulary of the one that was saved")
    check_finite(weights, source)
    model.load_state_dict(weights, strict=strict)


def check_finite(weights: Mapping[str, Tensor], source: str | Path) -> None:
    """Raise FileError E402 if a weight is NaN or infinite: such a model answers nothing and learns nothing."""
    if wrong := not_finite(weights):
        raise FileError("E402", received=f"{source} with weights that are no finite numbers: {some(wrong, 3)}",
                        expected="finite numbers", fix="take a copy from before training went wrong")
