"""Small models of transformers with pieces of their own and random weights, as `save_pretrained` writes them."""

from pathlib import Path

import torch

from ulmfit_easy.all import set_seed, toy_reviews

BERT = dict(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, max_position_embeddings=24)
GPT2 = dict(model_type="gpt2", n_embd=8, n_layer=2, n_head=2, n_positions=16)
LLAMA = dict(model_type="llama", hidden_size=8, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
             intermediate_size=8, max_position_embeddings=16)


def save_bert(folder: Path, auto: str = "AutoModel", model_type: str = "bert", texts=None, vocab_size: int = 120,
              std: float | None = None, **changes) -> Path:
    """Write a model that reads in both directions and its WordPiece tokenizer to a folder; return the folder.

    Args:
        auto: the class of transformers that makes the model, with its head.
        texts: what its pieces are learned from.
        std: draw all weights anew from a normal distribution, biases too, which begin at 0.
        changes: values of the config, in place of `BERT`'s.
    """
    import tokenizers
    import transformers

    own = tokenizers.BertWordPieceTokenizer()
    own.train_from_iterator(toy_reviews(60)["text"] if texts is None else texts, vocab_size=vocab_size,
                            show_progress=False)
    transformers.BertTokenizerFast(tokenizer_object=own._tokenizer).save_pretrained(folder)
    set_seed(0)
    config = transformers.AutoConfig.for_model(model_type, **{**BERT, "pad_token_id": 0, **changes},
                                               vocab_size=own.get_vocab_size())
    model = getattr(transformers, auto).from_config(config)
    if std is not None:
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=std)
    model.save_pretrained(folder)
    return folder


def save_causal(folder: Path, body: dict, **changes) -> Path:
    """Write a causal model, such as `GPT2` or `LLAMA`, and its byte-level tokenizer to a folder; return the folder."""
    import tokenizers
    import transformers

    own = tokenizers.ByteLevelBPETokenizer()
    own.train_from_iterator(toy_reviews(60)["text"], vocab_size=300, special_tokens=["<|endoftext|>"],
                            show_progress=False)
    transformers.PreTrainedTokenizerFast(tokenizer_object=own._tokenizer, eos_token="<|endoftext|>",
                                         unk_token="<|endoftext|>").save_pretrained(folder)
    set_seed(0)
    config = transformers.AutoConfig.for_model(**body, **changes, vocab_size=own.get_vocab_size(),
                                               initializer_range=0.5)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder
