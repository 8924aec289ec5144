"""Build a model from what `Headed.config` says of it: its parts by name, with their settings."""

from ulmfit_easy.models.archs import check_dropouts, get_arch, make_encoder, plain_config, special_ids, without_tokens
from ulmfit_easy.models.encoder import Headed
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.language_model import LanguageModel
from ulmfit_easy.models.readers import TextClassifier, reader
from ulmfit_easy.text.vocab import Vocab


def build_model(config: dict, vocab: Vocab, n_out: int | None = None) -> Headed:
    """Return a fresh model with the parts of a config: `encoder`, `head` and, for a classifier, `reader`.

    Args:
        n_out: number of outputs, None for a language model.
    Raises: E602 or E604 for an unknown part or setting, or an impossible value.
    """
    arch, kind = get_arch(config["encoder"]["name"]), Head.find(config["head"]["name"])
    kind.check_encoder(arch)
    known = arch.lm_config | arch.clas_config
    sizes = plain_config(config["encoder"]["config"], without_tokens(known))
    check_dropouts(sizes)
    encoder = make_encoder(arch, len(vocab), {**sizes, **special_ids(vocab, known)})
    head = kind.built(encoder, n_out or len(vocab), config["head"]["config"])
    if head.decodes:
        return LanguageModel(encoder, head)
    return TextClassifier(reader(encoder, **config["reader"], keep_words=head.pool_words), head)
