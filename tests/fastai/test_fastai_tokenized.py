import sys
from collections import Counter
from types import GeneratorType

import pandas as pd
import pytest

from ulmfit_easy.errors import TextError
from ulmfit_easy.fastai.tokenized import parallel_tokenize, tokenize_df, tokenize_texts
from ulmfit_easy.text.tokenizers import BaseTokenizer, Tokenizer

TEXTS = ["Good film", "", "a  b"]
TOKENS = [["xxbos", "xxmaj", "good", "film"], ["xxbos", ""], ["xxbos", "a", "b"]]


@pytest.mark.parametrize("n_workers", [0, 1])
def test_tokens_come_in_order_from_this_process_or_another(n_workers):
    assert tokenize_texts(TEXTS, n_workers, tok=BaseTokenizer) == TOKENS
    assert list(parallel_tokenize(TEXTS, BaseTokenizer(), n_workers=n_workers)) == list(enumerate(TOKENS))


def test_tokens_are_streamed_with_a_bar_where_one_is_asked_for(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    found = parallel_tokenize((text for text in TEXTS), BaseTokenizer(), rules=[], progress=True)
    assert next(found) == (0, ["Good", "film"]) and capsys.readouterr().err.count("tokenizing")
    assert not isinstance(found, list | GeneratorType)
    assert [tokens for _, tokens in found][-1] == ["a", "", "b"]


def test_a_table_has_tokens_in_the_place_of_its_texts_and_their_number():
    df = pd.DataFrame({"title": ["One", "two"], "label": [1, 0], "body": ["x y", "x"]}, index=[4, 4])
    table, count = tokenize_df(df, ["title", "body"], tok=BaseTokenizer, tok_text_col="tokens")
    assert list(table) == ["label", "tokens", "tokens_length"] and list(table.index) == [4, 4]
    assert table.tokens.iloc[1] == "xxbos xxfld 1 two xxfld 2 x".split() and table.tokens_length.tolist() == [9, 7]
    assert count == Counter("xxbos xxfld 1 xxmaj one xxfld 2 x y xxbos xxfld 1 two xxfld 2 x".split())
    table, _ = tokenize_df(df, "title", tok=Tokenizer(BaseTokenizer(), rules=[]))
    assert table.text.tolist() == [["One"], ["two"]] and list(df) == ["title", "label", "body"]
    with pytest.raises(TextError, match="E102"):
        tokenize_df(df, "none")
