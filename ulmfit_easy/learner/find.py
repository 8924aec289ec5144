"""Find the encoder that `arch` asks for, and the weights that `pretrained` asks for."""

from pathlib import Path
from typing import cast

from ulmfit_easy.bundle.packages import MODELS
from ulmfit_easy.bundle.shipped import fitting, named_folder
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.errors import ArgumentError, FileError, VocabError, did_you_mean, some
from ulmfit_easy.known import UnknownPartError
from ulmfit_easy.learner.pretrained import PretrainedLM, Start, read_lm, read_model, with_sizes
from ulmfit_easy.models.archs import get_arch
from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.text.hf import HFTokenizer

Arch = type[Encoder] | str | Path | PretrainedLM  # what `arch` may be


def arch_or_model(arch: Arch, backwards: bool = False) -> type[Encoder] | PretrainedLM:
    """Return the encoder of a class or its name, or else the model that `read_lm` reads at that place.

    Raises: ArgumentError E604 for a name that neither an encoder nor a model has. What `read_lm` raises.
    """
    if not isinstance(arch, Path | PretrainedLM):
        try:
            return get_arch(arch)
        except UnknownPartError as e:
            if not named_folder(cast(str, arch)).exists():
                fix = did_you_mean(arch, [*Encoder.known, *MODELS], "pass the folder of a model: nothing is downloaded"
                                   "; if the encoder is yours, first import the file that defines it")
                raise ArgumentError("E604", received=e.received, expected=f"{e.expected}, one of {some(MODELS)}, or "
                                    "the folder of a pretrained model", fix=fix) from e
    return read_model(cast(str | Path | PretrainedLM, arch), backwards)


def find_arch(arch: Arch, pretrained: Start, config: dict | None, defaults: str,
              dls: DataLoaders) -> tuple[type[Encoder], Start, dict | None]:
    """Return the class of an encoder, and what to start from with which config.

    Args:
        arch: as for `arch_or_model`. A model brings its encoder with its sizes, and the weights to start from, unless
            `pretrained` says something else than True.
        defaults: the name of the config of the class, "lm_config" or "clas_config".

    Raises: What `arch_or_model` raises.
    """
    found = arch_or_model(arch, dls.backwards)
    if not isinstance(found, PretrainedLM):
        return found, pretrained, config
    known = get_arch(found.arch)
    if pretrained is True:
        return known, found, config
    return known, pretrained, with_sizes(found.model, config, getattr(known, defaults))


def find_lm(pretrained: Start, arch: type[Encoder], config: dict | None,
            dls: DataLoaders) -> tuple[PretrainedLM | None, str]:
    """Return the language model that `pretrained` asks for, or None and why no installed one fits.

    Args:
        pretrained: what `read_model` takes. True for the one that the data were made with, or else the first installed
            model that fits. False or None for none.
        config: sizes that an installed model must have to fit.

    Raises: FileError E402 if it has another architecture or reads the other way. VocabError E302 if a transformer would
        read the tokens of another tokenizer. What `read_model` raises.
    """
    why = ""
    if pretrained is True and dls.pretrained is not None:
        pretrained = dls.pretrained
    if pretrained is True:
        pretrained, why = fitting(arch, config or {}, dls.backwards, dls.tokenizer.config())
    if pretrained is False or pretrained is None:
        return None, why
    found = (read_model if dls.target and dls.target.labelled else read_lm)(pretrained, dls.backwards)
    if found.arch != arch.__name__:
        raise FileError("E402", received=f"{found.name} with the encoder {found.arch}", expected=arch.__name__,
                        fix=f"pass {found.arch} as the architecture, or another model")
    tokenizer = found.data.get("tokenizer") or {"tok": {}}
    if tokenizer["tok"].get("name") == HFTokenizer.__name__ and found.vocab != dls.text_vocab:
        raise VocabError("E302", received=f"data with {len(dls.text_vocab):,} other tokens than the "
                         f"{len(found.vocab):,} of {found.name}", expected="texts split by the model's own tokenizer",
                         fix="pass the same model as pretrained= to TextDataLoaders.from_df")
    return found, why
