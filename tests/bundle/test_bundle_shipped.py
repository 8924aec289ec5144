"""The language models that come with the library: found by what their configs say, not by the names of folders."""

import os

import pandas as pd
import pytest

from ulmfit_easy.all import (
    AWD_LSTM,
    SentencePieceTokenizer,
    TextDataLoaders,
    Tokenizer,
    ULMFiT,
    language_model_learner,
    shipped_lm,
)
from ulmfit_easy.bundle import shipped
from ulmfit_easy.files import read_json
from ulmfit_easy.models.archs import get_arch
from ulmfit_easy.recipes.presets import LAPTOP, Phase, get_preset

GOOD, BAD = "정말 재미있는 영화 배우들의 연기가 훌륭하다", "너무 지루한 영화 시간이 아깝고 돈도 아깝다"


@pytest.fixture(scope="module")
def korean(tmp_path_factory):
    """A folder of weights with one tiny model of Korean pieces, under a name that says nothing."""
    folder = tmp_path_factory.mktemp("weights")
    df = pd.DataFrame({"text": [f"{text} {i}" for i in range(20) for text in (GOOD, BAD)]})
    dls = TextDataLoaders.from_df(df, text_col="text", is_lm=True, bs=4, seq_len=8, seed=0,
                                  tok_tfm=SentencePieceTokenizer(lang="ko", vocab_sz=80), cache_dir=False)
    learn = language_model_learner(dls, AWD_LSTM, config=dict(emb_sz=8, n_hid=12, n_layers=2), pretrained=False,
                                   path=folder, verbose=False)
    learn.export("m1")
    return folder


def test_a_model_is_found_by_language_direction_and_architecture(korean, monkeypatch):
    monkeypatch.setattr(shipped, "WEIGHTS", korean)
    assert shipped_lm("ko").name == "the Korean model that comes with ulmfit_easy (m1)"
    assert shipped.shipped_folder(False, "ko") == korean / "m1"
    assert shipped_lm("ko", backwards=True) is shipped_lm("en") is None
    assert shipped.shipped_folder(True, "ko") is None


def test_a_config_is_read_once_and_again_only_after_a_change(korean, monkeypatch):
    read, config = [], korean / "m1" / "config.json"
    monkeypatch.setattr(shipped, "WEIGHTS", korean)
    monkeypatch.setattr(shipped, "read_json", lambda file: read.append(file) or read_json(file))
    wanted = get_arch(AWD_LSTM), {}, False, Tokenizer(lang="ko").config()
    os.utime(config, ns=(1, 1))
    assert shipped.shipped(*wanted) is None and "tokenizer" in shipped.misfit(*wanted)
    assert shipped.shipped_name(korean / "m1").endswith("(m1)") and read == [config]
    os.utime(config, ns=(2, 2))
    assert shipped.shipped_folder(lang="ko") == config.parent and read == [config] * 2


def test_an_estimator_for_a_language_starts_from_its_model_and_tokenizer(korean, monkeypatch, capsys):
    monkeypatch.setattr(shipped, "WEIGHTS", korean)
    tiny = get_preset(LAPTOP, lm=(Phase(1, 1e-2),), clas=(Phase(1, 1e-2),), lm_bs=8, clas_bs=8)
    model = ULMFiT(lang="ko", preset=tiny, seed=0).fit(
        [f"{text} {i}" for i in range(20) for text in (GOOD, BAD)], ["좋음", "나쁨"] * 20)
    assert "Starts from the Korean model" in capsys.readouterr().out
    dls = model.learners_[0].dls
    assert isinstance(dls.tokenizer.tok, SentencePieceTokenizer) and dls.text_vocab == shipped_lm("ko").vocab
    assert set(model.predict([GOOD, BAD])) <= {"좋음", "나쁨"}
