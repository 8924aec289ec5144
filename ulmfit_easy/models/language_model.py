"""The language model: encoder and decoder in one container."""

from torch import Tensor

from ulmfit_easy.models.archs import get_arch, make_encoder, resolve_config
from ulmfit_easy.models.encoder import Encoder, Headed, Memory, needs_memory
from ulmfit_easy.models.softmax import LMDecoder, LMOutput
from ulmfit_easy.schema import number

SETTINGS = {"drop_mult": number(), "softmax": LMDecoder.SETTINGS["softmax"]}  # of `get_language_model`, beside `config`


class LanguageModel(Headed):
    """An encoder (child `0`) and a decoder (child `1`) that guess each next token.

    `model(ids, memory=None)` gives an `LMOutput` for ids (B, T); pass its `memory` to go on from there.
    """

    def forward(self, ids: Tensor, memory: Memory | None = None) -> LMOutput:
        return self[1](self[0](ids, memory=memory))


def get_language_model(arch: type[Encoder] | str, vocab_sz: int, config: dict | None = None,
                       drop_mult: float = 1.0, *, softmax: str = "full", pad_idx: int = 1) -> LanguageModel:
    """Return a fresh language model with the encoder `arch`.

    Args:
        vocab_sz: number of words V.
        config: changes to the architecture's own config (`awd_lstm_lm_config`), by the same names.
        drop_mult: factor on every dropout; less text wants more. 1 is the config as it stands, 0 no dropout.
        softmax: how it is trained, "full" or "sampled", see `LMDecoder`.
        pad_idx: id of the padding token; `config["pad_token"]` goes before it.
    Raises: E6xx for an unknown architecture, config key or softmax, an encoder without memory, or an
        impossible dropout.
    """
    needs_memory(known := get_arch(arch), "a language model")
    config = resolve_config(known.lm_config, config, drop_mult, pad_idx)
    head = {"softmax": softmax, **{name: config.pop(name) for name in ("output_p", "tie_weights", "out_bias")}}
    encoder = make_encoder(known, vocab_sz, config)
    return LanguageModel(encoder, LMDecoder.built(encoder, vocab_sz, head))
