"""Encoders around a model of the library `transformers`, which that library builds from a config."""

from typing import Any

from torch import Tensor, nn

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.extras import optional_package
from ulmfit_easy.models.encoder import Encoder, Groups
from ulmfit_easy.schema import MOST

UNFIT = {"convbert", "fnet", "nystromformer", "yoso",  # the states of a text depend on its padding
         "flaubert", "xlm", "layoutlm"}  # blocks in several lists, or a pooler that cannot be left out
BODY: dict = dict(body={}, n_layers=0, layer_p=0.1)  # for the configs of these encoders


class Body(Encoder):
    """The base of the encoders over a model of `transformers`. A subclass says how it reads.

    Args:
        vocab_sz: V.
        body: the config of the model, as `config.to_dict()` of `transformers` gives it, with its `model_type`.
        n_layers: blocks to use, from the input side. 0 uses all. A layer in the middle often knows most about
            meaning (docs/LOG.md).
        layer_p: replaces each dropout of the config that is above zero. 0.1 as in BERT and GPT.
        pad_token: id of padding.
    Raises: TrainingError E507 without the package transformers. ArgumentError E602 for a config that it cannot build.
    """

    # Sun et al. 2019 (arXiv 1905.05583), section 5.3.4: rates that fall by .95 a block give an error of 5.40 on IMDb,
    # one rate for all 5.42, and .85 5.65. With 2.6, the lowest of 12 blocks would have a 100,000th of the highest rate.
    factor = 1 / 0.95
    preset, pretrain_lr = "transformer", 5e-4
    body: Any  # a `PreTrainedModel` of transformers

    def __init__(self, vocab_sz: int, body: dict, n_layers: int = 0, layer_p: float = 0.1, pad_token: int = 0):
        super().__init__()
        no_others = {"bos_token_id": None, "eos_token_id": None}  # those of another vocabulary are outside of this one
        self.body = _built({**body, **no_others, "vocab_size": vocab_sz, "pad_token_id": pad_token}, layer_p)
        self.body.pooler = None  # the head pools
        if 0 < n_layers < len(self.blocks):
            del self.blocks[n_layers:]
            self.body.config.num_hidden_layers = n_layers
        self.width = self.body.config.hidden_size

    @property
    def embedding(self) -> nn.Embedding:  # type: ignore[override]  # the body keeps it, under a name of its own
        return self.body.get_input_embeddings()

    @property
    def blocks(self) -> nn.ModuleList:
        """The blocks of attention and feed-forward layers, input side first."""
        return next(m for m in self.body.modules() if isinstance(m, nn.ModuleList) and len(m))

    def groups(self) -> Groups:
        """Return the embeddings, then each block. A norm above the blocks is in the group of the last one."""
        of_block = {p: i for i, block in enumerate(self.blocks, 1) for p in block.parameters()}
        groups, at = [list[nn.Parameter]() for _ in range(len(self.blocks) + 1)], 0
        for p in self.body.parameters():  # in the order of the layers, so that what is in no block stays beside it
            at = of_block.get(p, at)
            groups[at].append(p)
        return groups

    def part_of(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights without those of blocks that this encoder leaves out."""
        of_blocks = next(f"body.{name}." for name, module in self.body.named_modules() if module is self.blocks)
        return {name: weight for name, weight in weights.items() if not name.startswith(of_blocks)
                or int(name.removeprefix(of_blocks).split(".")[0]) < len(self.blocks)}


def _built(config: dict, layer_p: float) -> Any:
    """Return the model of a config, with random weights. No code is loaded: the library must know its `model_type`."""
    transformers = optional_package("transformers")
    try:
        if many := {name: n for name, n in config.items() if name.startswith("num_") and n > MOST}:
            raise ValueError(f"{many}, more than {MOST:,}")
        own = of_text(transformers.AutoConfig.for_model(**config))
        for name, value in vars(own).items():
            if "drop" in name and isinstance(value, float) and value > 0:
                setattr(own, name, layer_p)
        return transformers.AutoModel.from_config(own, trust_remote_code=False)
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError) as e:
        received = f"body={config!r:.200} ({e!s:.200})" if "model_type" in config else "a transformer without a body"
        raise ArgumentError("E602", received=received,
                            expected="the config of a model that transformers knows, with its model_type",
                            fix="for a small new BERT pass config=Transformer.sized(emb=128, layers=2); pass "
                            "config=dict(body=AutoConfig.from_pretrained(folder).to_dict()); name a pretrained model "
                            'instead of the class, such as "minilm" or the folder of one') from e


def of_text(own: Any) -> Any:
    """Return a config of transformers, with the kernels of the library: others are code, which it would download.

    Raises: ValueError unless it is of one stack of layers over tokens with positions, which no padding changes.
    """
    kinds = optional_package("transformers.models.auto.modeling_auto")
    known = kinds.MODEL_FOR_MASKED_LM_MAPPING_NAMES.keys() | kinds.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    has_positions = hasattr(own, "max_position_embeddings")  # none with ALiBi
    if own.model_type not in known - UNFIT or own.sub_configs or own.is_encoder_decoder or not (
            hasattr(own, "hidden_size") and has_positions):
        why = "" if has_positions else ": its tokens have no positions, as those of gpt2 or llama have"
        raise ValueError(f"a {own.model_type} is no encoder of text that the library can use{why}")
    if not 1 <= own.num_hidden_layers <= MOST:
        raise ValueError(f"{own.num_hidden_layers} layers")
    own._attn_implementation = own._experts_implementation = own.dtype = None
    return own


def is_causal(own: Any) -> bool:
    """Return True for the config of a model whose tokens see only those before them, by attention in each layer."""
    kinds = optional_package("transformers.models.auto.modeling_auto")
    return (own.model_type in kinds.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
            and own.model_type not in kinds.MODEL_FOR_MASKED_LM_MAPPING_NAMES
            and {"full_attention", "sliding_attention"}.issuperset(getattr(own, "layer_types", None) or ()))
