"""A small BERT with pieces of its own and random weights, as `save_pretrained` writes it."""

from pathlib import Path

from ulmfit_easy.all import set_seed, toy_reviews


def save_bert(folder: Path, n_layers: int = 2) -> Path:
    """Write the model and its tokenizer to a folder; return the folder."""
    import tokenizers
    import transformers

    own = tokenizers.BertWordPieceTokenizer()
    own.train_from_iterator(toy_reviews(60)["text"], vocab_size=120, show_progress=False)
    transformers.BertTokenizerFast(tokenizer_object=own._tokenizer).save_pretrained(folder)
    set_seed(0)
    config = transformers.BertConfig(vocab_size=own.get_vocab_size(), hidden_size=8, num_hidden_layers=n_layers,
                                     num_attention_heads=2, intermediate_size=8, max_position_embeddings=24)
    transformers.BertModel(config).save_pretrained(folder)
    return folder
