"""The language model: encoder and decoder in one container."""

from typing import Any, cast

from ulmfit_easy.models.archs import get_arch, make_encoder, resolve_config
from ulmfit_easy.models.encoder import Encoder, Headed
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.softmax import LMDecoder, LMOutput
from ulmfit_easy.schema import number

SETTINGS = {"drop_mult": number(), "softmax": LMDecoder.SETTINGS["softmax"]}  # of `get_language_model`, beside `config`


class LanguageModel(Headed):
    """A language model: an encoder (child `0`) and a decoder (child `1`) that predict tokens.

    `model(ids)` returns an `LMOutput` for ids (B, T). To continue a text, pass its `memory` to the next call.
    """

    def forward(self, *inputs: Any, **named: Any) -> LMOutput:
        return cast(LMDecoder, self[1]).read(self.encoder, *inputs, **named)


def get_language_model(arch: type[Encoder] | str, vocab_sz: int, config: dict | None = None,
                       drop_mult: float = 1.0, *, softmax: str = "full", pad_idx: int = 1,
                       head: type[Head] = LMDecoder) -> LanguageModel:
    """Return an untrained language model, an `nn.Module`, with the encoder `arch`.

    Args:
        vocab_sz: number of words V.
        config: settings that replace those of the architecture's default config, such as `awd_lstm_lm_config`.
        drop_mult: a factor on every dropout of the config. 0 is no dropout. With less text, use more.
        softmax: "full", or "sampled" to train faster with a large vocabulary.
        pad_idx: the id of the padding token. `config["pad_token"]` overrides it.
        head: the class of the decoder.
    Raises: E6xx for an unknown architecture, config key or softmax, an encoder that the decoder cannot read, or an
        impossible dropout.
    """
    head.check_encoder(known := get_arch(arch))
    config = resolve_config(known.lm_config, config, drop_mult, pad_idx)
    settings = {"softmax": softmax, **{name: config.pop(name) for name in list(config) if name in head.SETTINGS}}
    encoder = make_encoder(known, vocab_sz, config)
    return LanguageModel(encoder, head.built(encoder, vocab_sz, settings))
