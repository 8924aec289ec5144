"""Build a classifier: an encoder in a reader, and a head."""

from collections.abc import Sequence

from ulmfit_easy.models.archs import get_arch, make_encoder, resolve_config
from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.heads.pooling import PoolingLinearClassifier
from ulmfit_easy.models.readers import HEAD_TAIL, TextClassifier, Whole, reader
from ulmfit_easy.schema import mapping, number, optional, whole

SETTINGS = {"drop_mult": number(), "head_config": optional(mapping), **Whole.SETTINGS, "seq_len": optional(whole()),
            **PoolingLinearClassifier.SETTINGS}  # of `get_text_classifier`


def get_text_classifier(arch: type[Encoder] | str, vocab_sz: int, n_class: int, seq_len: int | None = None,
                        config: dict | None = None, drop_mult: float = 1.0, lin_ftrs: Sequence[int] | None = None,
                        ps: Sequence[float] | None = None, pad_idx: int = 1, max_len: int | str | None = 72 * 20,
                        y_range: tuple[float, float] | None = None, *, pool_words: bool = False,
                        head: type[Head] | str = PoolingLinearClassifier,
                        head_config: dict | None = None) -> TextClassifier:
    """Return an untrained classifier, an `nn.Module`, with the encoder `arch`.

    Args:
        vocab_sz: V, the number of words.
        n_class: C, the number of outputs.
        seq_len: tokens per window. None is the default of the encoder. An encoder without memory reads texts whole.
        max_len: tokens of a text that the head sees, counted from its end. See `text_classifier_learner`.
        config: settings that replace those of the architecture's default config, such as `awd_lstm_clas_config`.
        drop_mult: a factor on every dropout of the config. `ps` are not changed by it.
        lin_ftrs: widths of the head's hidden layers. [50] as in the paper.
        ps: dropout after each hidden layer, 0.1 each. The one before the first is the config's `output_p`.
        pad_idx: the id of the padding token. `config["pad_token"]` overrides it.
        y_range: (low, high) of a regression target, or None.
        pool_words: the head also reads the mean of the rows of the embedding, see `text_classifier_learner`. The
            paper's head does not.
        head: the class of the head, or its name. `lin_ftrs`, `ps`, `y_range` and `pool_words` are for heads that
            have them.
        head_config: settings of the head by name. They override the arguments above.
    Raises: E602 for an impossible value, E604 for an unknown architecture or a key that its config does not have.
    """
    known = get_arch(arch)
    config = resolve_config(known.clas_config, config, drop_mult, pad_idx)
    settings = {"lin_ftrs": lin_ftrs, "ps": ps, "y_range": y_range, "pool_words": pool_words or None}
    settings = {name: value for name, value in settings.items() if value is not None}
    settings["output_p"] = config.pop("output_p")
    encoder = make_encoder(known, vocab_sz, config)
    over = Head.find(head).built(encoder, n_class, {**settings, **(head_config or {})})
    max_len = None if over.whole and max_len != HEAD_TAIL else max_len
    seq_len = seq_len or min(known.seq_len, max_len if isinstance(max_len, int) else known.seq_len)
    return TextClassifier(reader(encoder, seq_len, max_len, keep_words=over.pool_words), over)
