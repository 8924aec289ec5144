"""Which model each direction of an estimator starts from: read and checked before anything slow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ulmfit_easy.bundle.record import way
from ulmfit_easy.bundle.shipped import shipped_folder
from ulmfit_easy.data.languages import language_name
from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.learner.both_ways import shipped_pair
from ulmfit_easy.learner.find import arch_or_model
from ulmfit_easy.learner.pretrained import PretrainedLM, read_lm, read_model, shipped_lm
from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.user_code import warn_user

Source = bool | str | Path | Sequence | None
Begin = PretrainedLM | type[Encoder] | None


def directions(pretrained: Source, backwards: bool, bidir: bool) -> list[tuple[bool, Any]]:
    """Return the models to train, each as (backwards, pretrained)."""
    if not bidir:
        return [(bool(backwards), pretrained)]
    pair = pretrained
    if pair is None or isinstance(pair, bool):
        pair = (pair, pair)
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise ArgumentError("E603", received=f"bidir=True with pretrained={str(pair)!r}",
                            expected="two language models, of which one reads backwards",
                            fix="name two models with pretrained=; leave out bidir=")
    return [(False, pair[0]), (True, pair[1])]


def begin(encoder: type[Encoder] | str | Path | None, pretrained: Source, backwards: bool, *, bidir: bool,
          lang: str, subword: bool | int = False) -> Begin:
    """Return the model to start from. Or the encoder of new weights, None for any.

    With `subword` no model is looked for: its pieces of words would be others.
    """
    arch = None if encoder is None else arch_or_model(encoder)
    if subword and (isinstance(arch, PretrainedLM) or not (pretrained is None or isinstance(pretrained, bool))):
        given = f"encoder={str(encoder)!r}" if isinstance(arch, PretrainedLM) else f"pretrained={str(pretrained)!r}"
        raise ArgumentError("E603", received=f"subword={subword} with {given}",
                            expected="one of the two: a model brings the pieces of words that it knows",
                            fix="leave out subword=")
    pretrained = pretrained and not subword if isinstance(pretrained, bool) else pretrained
    if isinstance(arch, PretrainedLM):
        if pretrained is not True:
            raise ArgumentError("E603", received=f"encoder={str(encoder)!r} with pretrained={pretrained}",
                                expected="one model to start from", fix=f"leave out pretrained={pretrained}")
        if bidir:
            raise ArgumentError("E603", received=f"encoder={str(encoder)!r} with bidir=True",
                                expected="one model, which reads one way", fix="leave out bidir=")
        return read_model(arch, backwards)
    if backwards and arch is not None and arch.one_way:
        name = "bidir" if bidir else "backwards"
        raise ArgumentError("E603", received=f"encoder={arch.__name__!r} with {name}=True",
                            expected="one of the two: this encoder reads both ways by itself",
                            fix=f"leave out {name}=")
    if pretrained is True and arch is not None and arch.one_way:
        return shipped_pair(arch, lang) or arch
    source: Any = shipped_lm(lang, backwards) if pretrained is True else pretrained
    if pretrained is True and source is None and shipped_folder(lang, not backwards):
        warn_user(f"no installed model reads {language_name(lang)} {way(backwards)}: this direction learns from your "
                  f"texts alone; leave out {'bidir' if bidir else 'backwards'}=")
    found = read_lm(source, backwards) if source else None
    if arch is None or found is None or found.arch == arch.__name__:
        return found or arch
    if pretrained is True:  # the one that comes with the library is of another encoder
        return arch
    raise FileError("E402", received=f"{found.name} with the encoder {found.arch}", expected=arch.__name__,
                    fix=f"pass encoder={found.arch!r}; leave out pretrained=")
