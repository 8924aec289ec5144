"""Start the embedding of any encoder from word vectors."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.pretrained import vectors_for, words_of
from ulmfit_easy.models.remap import match_embeds
from ulmfit_easy.terminal import say
from ulmfit_easy.text.vectors import WordVectors, read_vectors

if TYPE_CHECKING:
    from ulmfit_easy.learner.text_learner import TextLearner

L = TypeVar("L", bound="TextLearner")


def load_vectors(learn: L, vectors: WordVectors | str | Path) -> L:
    """Start the embedding from word vectors, such as GloVe. Return the learner. A tied decoder gets them too.

    A word without a vector starts from a row that is guessed by the library's own vectors, if it has some for the
    language. Otherwise it starts from the mean of the vectors.

    Args:
        vectors: the name of a file that `read_vectors` reads, or what it returned.

    By default the vocabulary has only the words of the training rows. With few rows, use all words of the vectors
    instead: pass `text_vocab=[*SPECIAL_TOKENS, *vectors.stoi]` to `TextDataLoaders.from_df`.

    The embedding is the first layer group of a classifier. You can train it, freeze it, or give it a lower rate:

        >>> learn = text_classifier_learner(dls, AWD_LSTM, config={"emb_sz": 50}, pretrained=False)  # doctest: +SKIP
        >>> learn.load_vectors("glove.6B.50d.txt").fit_one_cycle(5, 1e-2)  # a start  # doctest: +SKIP
        >>> learn.freeze_to(1).fit_one_cycle(5, 1e-2)  # frozen  # doctest: +SKIP
        >>> learn.unfreeze().fit_one_cycle(5, slice(1e-4, 1e-2))  # slow  # doctest: +SKIP

    Raises: ArgumentError E603 if the vectors have another size than the embedding. For a file, what `read_vectors`
        raises.
    """
    vocab, embedding = learn.dls.text_vocab, learn.encoder.embedding.weight  # (V, E)
    if not isinstance(vectors, WordVectors):
        vectors = read_vectors(vectors, vocab)
    known = [word for word in dict.fromkeys(vocab) if word in vectors.stoi]
    rows = torch.from_numpy(vectors.of(known)[0])  # (n, D)
    if not known or rows.shape[1] != embedding.shape[1]:
        raise ArgumentError("E603", received=f"vectors of {rows.shape[1]} numbers for {len(known):,} words of an "
                            f"embedding {tuple(embedding.shape)}", expected="vectors of its words, as long as its rows",
                            fix=f'make the learner with config={{"emb_sz": {rows.shape[1]}}} and pretrained=False')
    matched = match_embeds(rows, None, known, vocab, vectors_for(learn.dls.tokenizer))
    with torch.no_grad():
        embedding.copy_(matched.weight)
    if learn.verbose:
        own = words_of(learn.dls)
        n_known = sum(word in vectors.stoi for word in own)
        say(f"{n_known:,} of the {len(own):,} different words in your texts start from their vectors.")
    return learn
