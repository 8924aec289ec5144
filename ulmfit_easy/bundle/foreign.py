"""Checkpoints of other libraries as bundles: fastai 0.7, 1 and 2, MultiFiT and fastai_ulmfit.

Their weights are pickles. They are read by torch's restricted reader, which makes tensors and runs no code, and
their word lists by `read_words`, which cannot. Weights find their places by name and words by string, never by
order: each of these libraries had its own.
"""

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from ulmfit_easy.archives import extract_archive
from ulmfit_easy.bundle.artefact import FILES, Bundle, check_finite, load_bundle
from ulmfit_easy.bundle.hf import is_hf, load_hf
from ulmfit_easy.bundle.parts import MOST_LAYERS, NoNumbers
from ulmfit_easy.bundle.pickled import OutOfBounds, check_bounds
from ulmfit_easy.bundle.tensors import unlike
from ulmfit_easy.bundle.wordlist import in_our_words, read_words
from ulmfit_easy.cleanup import no_warnings
from ulmfit_easy.errors import FileError, some
from ulmfit_easy.files import existing, regular_file
from ulmfit_easy.models.archs import sizes_of
from ulmfit_easy.models.language_model import get_language_model
from ulmfit_easy.models.remap import match_embeds
from ulmfit_easy.text.special import FAKE, SPECIAL_TOKENS
from ulmfit_easy.text.subword import SentencePieceTokenizer
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vocab import Vocab

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
SUFFIXES = (".pth", ".h5")  # the .h5 of 2018 is a torch file too
ARCHIVES = (".tgz", ".tar.gz", ".zip")
NAME_IT = "or name it: ulmfit convert SRC DIR --words FILE"

# A key without its `0.` or `0.module.`, and our name for it. What no line knows is a copy of one of these (some
# with dropout applied to it), or belongs to a classifier's head.
_NAMES = [(re.compile(theirs), ours) for theirs, ours in [
    (r"encoder\.weight", r"encoder.weight"),
    (r"rnns\.(\d+)\.(?:module\.)?weight_hh_l0_raw", r"rnns.\1.weight_hh_l0_raw"),
    (r"rnns\.(\d+)\.module\.(weight_ih_l0|bias_ih_l0|bias_hh_l0)", r"rnns.\1.module.\2"),
    (r"rnns\.(\d+)\.(?:layers\.0\.)?linear\.(weight_raw|module\.bias)", r"rnns.\1.layers.0.linear.\2"),
]]
DECODER = ("1.decoder.weight", "1.decoder.bias")
_WORD_ROWS = {"0.encoder.weight", "0.encoder_dp.emb.weight", "1.decoder.weight"}  # one tensor under three names
_DIRECTION = re.compile(r"(?<![a-z])(fwd|forwards?|bwd|backwards?)(?![a-z])")


def load_any(path: str | Path) -> Bundle:
    """Return a model to start from: the bundle at `path`, or what `load_hf` or `load_foreign` make of what is there."""
    path = existing(path)
    if is_hf(path):
        return load_hf(path)
    is_bundle = any((path / name).exists() for name in FILES)
    return load_bundle(path) if is_bundle else load_foreign(path)


def load_foreign(path: str | Path, words: str | Path | None = None) -> Bundle:
    """Return another library's language model, with its weights by our names and our control tokens first.

    `config["text"]` holds only what the files tell: `backwards`, or None where no name says `fwd` or `bwd`.
    `tokenizer`, or None unless a SentencePiece model lies next to the weights. A file with an encoder alone gives
    weights without a decoder, which a classifier can start from. A control token that the words lack gets the
    mean row.

    Args:
        path: the weights (`*.pth`, `*.h5`), their folder, or a `.tgz` or `.zip` of it.
        words: the pickled word list. By default the one next to the weights.

    Raises: FileError E401 for a file that is not what it should be, or that holds code. E402 where weights and words do
        not belong together. E404 where something is missing, or a folder holds two models. E405 for an unsafe archive.
    """
    path = existing(path)
    if path.is_dir() or not path.name.endswith(ARCHIVES):
        return _load(find_weights(path), words)
    with TemporaryDirectory() as tmp:  # under its own name: that may tell the direction
        return _load(find_weights(extract_archive(path, Path(tmp) / path.name)), words)


def find_weights(path: str | Path) -> Path:
    """Return the file with a language model's weights in a folder, or `path` itself if that is a file.

    An encoder's file (`*enc*`) counts only where it is alone. Without a file, a sub-folder that has one is
    searched. E404 if there is none, or more than one.
    """
    path = existing(path)
    if not path.is_dir():
        return path
    files = [p for p in _visible(path) if p.suffix in SUFFIXES]
    choices = ([p for p in files if not re.search(r"(?<![a-z])enc", p.stem)] or files
               or [p for p in _visible(path) if any(f.suffix in SUFFIXES for f in p.rglob("*"))])
    if len(choices) == 1:
        return find_weights(choices[0])
    if choices:
        raise FileError("E404", received=f"{path} with {some(p.name for p in choices)}", expected="one model",
                        fix=f"name the one you want, such as {choices[0].name} in it (unpack an archive first)")
    raise FileError("E404", received=f"{path}, without a file *.pth or *.h5 in it", expected="a language model",
                    fix="pass the folder of an exported language model, or a checkpoint of fastai or MultiFiT")


def _find_words(weights: Path) -> Path:
    lists = [p for p in _visible(weights.parent) if p.suffix == ".pkl"]
    choices = [p for p in lists if re.search("itos|vocab", p.stem)] or lists
    if len(choices) != 1:
        raise FileError("E404", received=f"{weights} beside {some(p.name for p in choices) or 'no word list'}",
                        expected="one pickled list of its words, such as itos.pkl",
                        fix=f"put the list beside the weights, {NAME_IT}")
    return choices[0]


def _visible(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not p.name.startswith("."))  # Macs add ._files to archives


def _load(file: Path, words: str | Path | None) -> Bundle:
    weights = _by_our_names(_state_dict(file), file)
    check_finite(weights, file)
    arch, sizes = _fitting(weights, file)
    theirs = in_our_words(read_words(words or _find_words(file)))
    rows = weights["0.encoder.weight"]  # (V, E)
    if len(rows) % 8 == 0 and len(rows) - len(theirs) < 8:
        theirs += [FAKE] * (len(rows) - len(theirs))  # fastai 2 fills up, and a list may be from before
    if len(theirs) != len(rows):
        raise FileError("E402", received=f"{len(theirs):,} words for {file}, which has rows for {len(rows):,}",
                        expected="the list that these weights were trained with",
                        fix=f"put that one beside the weights, {NAME_IT}")
    vocab = Vocab([*SPECIAL_TOKENS, *(word for word in theirs if word not in SPECIAL_TOKENS)])
    matched = match_embeds(rows, weights.get("1.decoder.bias"), theirs, vocab)
    for name in weights.keys() & _WORD_ROWS:
        weights[name] = matched.weight
    if matched.bias is not None:
        weights["1.decoder.bias"] = matched.bias
    config = {"task": "lm", "text": {"backwards": _backwards(file), "tokenizer": _tokenizer(file, arch)}, "target": {},
              "encoder": {"name": arch, "config": sizes}, "head": {"name": "LMDecoder", "config": {}}, "loss": {}}
    return Bundle(config, vocab, weights)


class _Ignored:
    """A stand-in for all that an optimiser's state holds besides tensors: nothing of it is kept."""

    def __init__(self, *_: object):
        pass

    def __setstate__(self, _: object) -> None:
        pass


# fastai 2 saves the optimiser too unless told otherwise, with these in it. Only the names are read; none is imported.
_IGNORED: list[tuple[Callable, str] | Callable] = [(_Ignored, name) for name in (
    "fastcore.foundation.L", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype")]


_ONE_BY_ONE = threading.Lock()  # torch has one list of safe names for all threads


def _state_dict(file: Path) -> dict[str, Tensor]:
    """Return the plain tensors of a torch file, as float32. Of `{"model": ..., "opt": ...}` those of the model."""
    try:
        with regular_file(file) as f, no_warnings(), _ONE_BY_ONE, torch.serialization.safe_globals(_IGNORED):
            size = os.fstat(f.fileno()).st_size
            check_bounds(f)
            found = torch.load(f, map_location="cpu", weights_only=True)
    except FileError:
        raise
    except OutOfBounds as e:
        raise _refused(file, str(e)) from None
    except Exception as e:  # zip, pickle and tensors each have errors of their own for bad data
        name = re.search(r"GLOBAL (\S{1,100})", str(e))
        why = f"which asks for {name[1]}" if name else f"which torch cannot read ({type(e).__name__})"
        raise _refused(file, why) from None  # torch's own message advises the reader that runs code
    found = found.get("model", found) if isinstance(found, dict) else found
    if not isinstance(found, dict):
        raise _refused(file, f"which holds a {type(found).__name__}")
    plain = {key: value.detach() for key, value in found.items()
             if isinstance(key, str) and isinstance(value, Tensor) and _is_plain(value, size)}
    distinct = {(t.data_ptr(), t.shape, t.stride()): t for key, t in plain.items() if _is_ours(key)}
    if (claimed := sum(t.numel() * t.element_size() for t in distinct.values())) > size:
        raise _refused(file, f"whose {size:,} bytes claim to be {claimed:,}")
    return {key: t.float() for key, t in plain.items() if _is_ours(key)}


def _is_plain(t: Tensor, file_size: int) -> bool:
    """Return True if a tensor has its numbers in the file. A few bytes can describe one that no memory holds."""
    return (t.layout is torch.strided and t.device.type == "cpu" and t.dtype in FLOATS
            and t.numel() * t.element_size() <= file_size)


def _refused(file: Path, what: str) -> FileError:
    return FileError("E401", received=f"{file}, {what}", expected="a file of weights that torch.save wrote",
                     fix="do not use it, or ask its author for a file of the state dict alone")


def _our_name(key: str) -> str | None:
    """Return our name for a weight of the encoder, None if it has none."""
    matches = ((pattern.fullmatch(re.sub(r"^0\.(module\.)?", "", key)), ours) for pattern, ours in _NAMES)
    return next(("0." + match.expand(ours) for match, ours in matches if match), None)


def _is_ours(key: str) -> bool:
    return key in DECODER or _our_name(key) is not None


def _by_our_names(found: dict[str, Tensor], file: Path) -> dict[str, Tensor]:
    """Return the weights of encoder and decoder under our names. A language model's bias is zero where it had none."""
    weights = {key: found[key] for key in DECODER if key in found}
    weights |= {name: tensor for key, tensor in found.items() if (name := _our_name(key))}
    if "0.encoder.weight" not in weights:
        raise FileError("E401", received=f"{file}, without an embedding `encoder.weight` in it",
                        expected="a language model or an encoder of fastai, MultiFiT or fastai_ulmfit",
                        fix="check which file it is")
    weights["0.encoder_dp.emb.weight"] = weights["0.encoder.weight"]
    if "1.decoder.weight" in weights:
        weights.setdefault("1.decoder.bias", torch.zeros(weights["1.decoder.weight"].shape[:1]))  # (V,)
    return weights


def _fitting(weights: dict[str, Tensor], file: Path) -> tuple[str, dict]:
    """Return the architecture and sizes of these weights. Raises E402 if they are not all that such a model has."""
    sizes = sizes_of(weights)
    try:
        arch, vocab_sz = sizes.pop("arch"), sizes.pop("vocab_sz")
        if sizes["n_layers"] > MOST_LAYERS:
            raise ValueError(f"{sizes['n_layers']} layers")
        with torch.device("meta"), NoNumbers():
            own = get_language_model(arch, vocab_sz, sizes).state_dict()
    except (LookupError, TypeError, ValueError, RuntimeError) as e:
        raise _unfit(file, "without layers of an LSTM or a QRNN") from e
    own = {key: t for key, t in own.items() if key.startswith("0.") or "1.decoder.weight" in weights}
    if wrong := unlike(weights, own):
        raise _unfit(file, f"where these weights are missing, unknown or of another shape: {some(wrong, 3)}")
    if "1.decoder.weight" in weights and not torch.equal(weights["1.decoder.weight"], weights["0.encoder.weight"]):
        raise _unfit(file, "whose decoder has other rows than its embedding")
    return arch, sizes


def _unfit(file: Path, what: str) -> FileError:
    return FileError("E402", received=f"{file}, {what}", expected="an AWD-LSTM or QRNN with one matrix for words in "
                     "and out, as all published ones have", fix="check which file it is")


def _backwards(file: Path) -> bool | None:
    """Return the direction that the names of a file and of its folders tell. None if they tell none."""
    for part in reversed(file.absolute().parts[-3:]):
        if found := _DIRECTION.search(part.lower()):
            return found[0].startswith("b")
    return None


def _tokenizer(file: Path, arch: str) -> dict | None:
    """Return the configuration of a tokenizer with the SentencePiece model next to the weights, if there is one."""
    for folder in (file.parent, file.parent / "spm", file.parent.parent / "spm"):
        if (model := folder / "spm.model").is_file():
            mark_fields = True if arch == "AWD_QRNN" else None  # MultiFiT reads `xxbos xxfld 1` before each text
            return Tokenizer(SentencePieceTokenizer(sp_model=model), mark_fields=mark_fields).config()
    return None
