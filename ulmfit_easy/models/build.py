"""Build a model from what `Headed.config` says of it: its parts by name, with their settings."""

from ulmfit_easy.models.archs import check_dropouts, get_arch, make_encoder, plain_config
from ulmfit_easy.models.classifier import TextClassifier
from ulmfit_easy.models.encoder import Headed, needs_memory
from ulmfit_easy.models.heads.head import get_head
from ulmfit_easy.models.language_model import LanguageModel
from ulmfit_easy.models.readers import reader


def build_model(config: dict, vocab_sz: int, n_out: int | None = None, pad_idx: int = 1) -> Headed:
    """Return a fresh model with the parts of a config.

    Args:
        config: `encoder`, `head` and, for a classifier, `reader`. Other names are ignored.
        n_out: number of outputs, None for a language model.
    Raises: E602 or E604 for an unknown part or setting, or an impossible value.
    """
    arch, kind = get_arch(config["encoder"]["name"]), get_head(config["head"]["name"])
    known = {name: value for name, value in (arch.lm_config | arch.clas_config).items() if name != "pad_token"}
    sizes = plain_config(config["encoder"]["config"], known)
    check_dropouts(sizes)
    if kind.decodes:
        needs_memory(arch, "a language model")
    encoder = make_encoder(arch, vocab_sz, {**sizes, "pad_token": pad_idx})
    head = kind.built(encoder, n_out or vocab_sz, config["head"]["config"])
    if head.decodes:
        return LanguageModel(encoder, head)
    return TextClassifier(reader(encoder, **config["reader"], keep_words=head.pool_words), head)
