"""The language model: encoder and decoder in one container."""

from typing import Any, cast

from ulmfit_easy.models.archs import get_arch, make_encoder, resolve_config
from ulmfit_easy.models.encoder import Encoder, Headed
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.softmax import LMDecoder, LMOutput
from ulmfit_easy.schema import number

SETTINGS = {"drop_mult": number(), "softmax": LMDecoder.SETTINGS["softmax"]}  # of `get_language_model`, beside `config`


class LanguageModel(Headed):
    """An encoder (child `0`) and a decoder (child `1`) that guess tokens.

    `model(ids)` gives an `LMOutput` for ids (B, T). Further inputs are those of the decoder's `read`. With an
    `LMDecoder` pass `memory` of an output to continue from there.
    """

    def forward(self, *inputs: Any, **named: Any) -> LMOutput:
        return cast(LMDecoder, self[1]).read(self.encoder, *inputs, **named)


def get_language_model(arch: type[Encoder] | str, vocab_sz: int, config: dict | None = None,
                       drop_mult: float = 1.0, *, softmax: str = "full", pad_idx: int = 1,
                       head: type[Head] = LMDecoder) -> LanguageModel:
    """Return a fresh language model with the encoder `arch`.

    Args:
        vocab_sz: number of words V.
        config: changes to the architecture's own config (`awd_lstm_lm_config`), by the same names.
        drop_mult: factor on every dropout. Less text wants more. 1 is the config as it stands, 0 no dropout.
        softmax: how it is trained, "full" or "sampled", see `LMDecoder`.
        pad_idx: id of the padding token. `config["pad_token"]` goes before it.
        head: the class of the decoder.
    Raises: E6xx for an unknown architecture, config key or softmax, an encoder that the decoder cannot read, or an
        impossible dropout.
    """
    head.check_encoder(known := get_arch(arch))
    config = resolve_config(known.lm_config, config, drop_mult, pad_idx)
    settings = {"softmax": softmax, **{name: config.pop(name) for name in list(config) if name in head.SETTINGS}}
    encoder = make_encoder(known, vocab_sz, config)
    return LanguageModel(encoder, head.built(encoder, vocab_sz, settings))
