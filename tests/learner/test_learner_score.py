import math

import pytest
from learner_toys import lm, text_dls

from ulmfit_easy.learner.score import TextScore
from ulmfit_easy.text.tokenizers import BaseTokenizer, Tokenizer


@pytest.fixture(scope="module")
def without_bos():
    class Words(BaseTokenizer):
        def __call__(self, texts):
            return (text.split() for text in texts)

    return lm(text_dls(is_lm=True, tok_tfm=Tokenizer(Words(), rules=[])))


def test_a_text_without_any_token_has_no_likelihood_and_no_perplexity(without_bos):
    for score in (without_bos.logprob(""), *without_bos.logprob(["", ""])):
        assert score == TextScore(logprob=0.0, n_tokens=0, n_unknown=0) and math.isnan(score.perplexity)


def test_a_text_without_any_token_changes_no_other_score(without_bos):
    alone, (score, empty) = without_bos.logprob("the film was good"), without_bos.logprob(["the film was good", ""])
    assert score.n_tokens == 3 and score.logprob == pytest.approx(alone.logprob, rel=1e-5) and empty.n_tokens == 0
