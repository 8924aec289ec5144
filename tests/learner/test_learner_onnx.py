"""A model as an ONNX graph gives torch's answers for texts of any length, alone or in a batch, and needs no torch."""

import json
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from learner_toys import classifier, lm, text_dls

import ulmfit_easy
from ulmfit_easy.all import (
    AWD_LSTM,
    AWD_QRNN,
    BagOfVectors,
    ELMo,
    TextDataLoaders,
    ULMFiT,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner import onnx
from ulmfit_easy.learner.onnx import FILES, Graph
from ulmfit_easy.recipes.ensemble import first_to_onnx
from ulmfit_easy.text.vocab import padded

onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnx and onnxruntime: pip install -e '.[onnx]'")
pytest.importorskip("onnx", reason="needs onnx and onnxruntime: pip install -e '.[onnx]'")
TINY = {"emb_sz": 8, "n_hid": 12, "n_layers": 2}
DF = toy_reviews(60, seed=0)
GUIDE = Path(__file__).parents[2] / "docs" / "howto" / "onnx.md"


@pytest.fixture(scope="module")
def learn():
    return classifier(text_dls(n=60))


def answers(folder, docs, predictor):
    session = onnxruntime.InferenceSession(folder / FILES[0])
    ids, lengths = padded(docs, predictor.vocab.pad_id, predictor.prepare.backwards)
    return session.run(None, {"ids": ids, "lengths": lengths})


def noise(predictor, lengths):
    special = {*predictor.vocab.specials.values()}
    words = np.array([i for i, token in enumerate(predictor.vocab) if token not in special], np.int32)
    return [np.random.default_rng(n).choice(words, n) for n in lengths]


def check(learn, folder, sizes=(1, 30, 200), atol=1e-5):
    """Compare the graph with torch for three lengths and three batch sizes, each with shorter texts in it."""
    predictor = learn.predictor
    learn.to_onnx(folder)
    for longest in sizes:
        for n_rows in (1, 2, 5):
            docs = noise(predictor, [max(1, longest // (i + 1)) for i in range(n_rows)])
            probs, index = answers(folder, docs, predictor)
            logits = predictor.logits(docs)
            assert np.allclose(probs, predictor.activation(logits), atol=atol)
            assert np.allclose(index, predictor.decodes(logits), atol=atol)


def test_the_graph_gives_torchs_numbers_for_each_length_and_batch_size(learn, tmp_path):
    check(learn, tmp_path / "m")


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "target"), [
    pytest.param(AWD_LSTM, {"label_col": ["a", "b", "c"]}, id="several classes"),
    pytest.param(BagOfVectors, {"label_col": "stars", "y_block": "regression"}, id="numbers"),
    pytest.param(ELMo, {"label_col": "label"}, id="ELMo"),
    pytest.param(AWD_QRNN, {"label_col": "label"}, id="QRNN"),
    pytest.param(AWD_LSTM, {"label_col": "label", "backwards": True}, id="backwards"),
    pytest.param(AWD_LSTM, {"text_col": ["text", "topic"], "label_col": "label"}, id="two columns"),
])
def test_each_kind_of_answer_has_its_graph(arch, target, tmp_path):
    df = DF.assign(a=1, b=[0, 1] * 30, c=[1, 0, 0] * 20, stars=np.linspace(0, 1, 60))
    dls = TextDataLoaders.from_df(df, **{"text_col": "text"} | target, bs=8, min_freq=1, seed=0)
    config = {"emb_sz": 8} if arch is BagOfVectors else TINY
    learn = text_classifier_learner(dls, arch, config=config, pretrained=False, verbose=False, max_len=144)
    check(learn, tmp_path / "m")


@pytest.mark.slow
@pytest.mark.parametrize("max_len", [24, None, "head+tail"])
def test_a_transformer_reads_long_texts_in_windows_as_in_torch(max_len, bert_folder, tmp_path):
    dls = TextDataLoaders.from_df(DF, text_col="text", label_col="label", pretrained=bert_folder, bs=8, seed=0)
    learn = text_classifier_learner(dls, bert_folder, max_len=max_len, verbose=False)
    assert learn.encoder.span < 60
    check(learn, tmp_path / "m", sizes=(3, learn.encoder.span, 60))


@pytest.mark.slow
@pytest.mark.parametrize("body", ["GPT2", "LLAMA"])
def test_a_causal_transformer_has_a_graph(body, tmp_path):
    pytest.importorskip("transformers", reason="needs the package transformers: pip install -e '.[hf]'")
    import hf_toys

    folder = hf_toys.save_causal(tmp_path / "gpt", getattr(hf_toys, body))
    dls = TextDataLoaders.from_df(DF, text_col="text", label_col="label", pretrained=folder, bs=8, seed=0)
    check(text_classifier_learner(dls, folder, verbose=False), tmp_path / "m", sizes=(3, 16, 60))


@pytest.mark.slow
def test_a_pair_in_a_transformer_is_limited_to_its_positions(bert_folder, tmp_path):
    dls = TextDataLoaders.from_df(DF, text_col=["text", "topic"], label_col="label", pretrained=bert_folder, seed=0)
    learn = text_classifier_learner(dls, bert_folder, verbose=False)
    learn.to_onnx(tmp_path / "m")
    assert json.loads((tmp_path / "m" / "config.json").read_text())["max_tokens"] == learn.encoder.span
    check(learn, tmp_path / "m", sizes=(1, 9, learn.encoder.span))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_tagger_answers_for_each_token(tmp_path):
    df = DF.assign(words=[["Anna", "lives", "in", "Oslo"]] * 60, tags=[["B-P", "O", "O", "B-L"]] * 60)
    dls = TextDataLoaders.from_df(df, text_col="words", label_col="tags", y_block="tags", bs=4, min_freq=1, seed=0)
    learn = text_classifier_learner(dls, AWD_LSTM, config=TINY, pretrained=False, verbose=False)
    learn.to_onnx(tmp_path / "m")
    docs = noise(learn.predictor, [9, 4])
    probs, index = answers(tmp_path / "m", docs, learn.predictor)
    for found, decided, logits in zip(probs, index, learn.predictor.logits(docs), strict=True):
        n = len(logits)
        assert np.allclose(found[:n], learn.predictor.activation(logits), atol=1e-5)
        assert np.array_equal(decided[:n], logits.argmax(-1))


def test_an_answer_depends_on_no_neighbour_and_a_temperature_is_in_it(learn, tmp_path):
    hot = replace(learn.predictor, temperature=3.0)
    hot.to_onnx(tmp_path / "m")
    docs = noise(hot, [4, 60])
    alone, _ = answers(tmp_path / "m", docs[:1], hot)
    together, _ = answers(tmp_path / "m", docs, hot)
    assert np.allclose(alone[0], together[0], atol=1e-6)
    assert np.allclose(alone, hot.activation(hot.logits(docs[:1])), atol=1e-5)


def test_weights_in_8_bits_are_smaller_and_answer_nearly_the_same(tmp_path):
    dls = text_dls(n=60)
    learn = text_classifier_learner(dls, AWD_LSTM, config={"emb_sz": 64, "n_hid": 96, "n_layers": 2}, pretrained=False,
                                    verbose=False)
    docs = noise(learn.predictor, [5, 50])
    sizes, found = [], []
    for quantize in (False, True):
        folder = learn.to_onnx(tmp_path / "m", quantize=quantize)  # the second replaces the first
        sizes.append((folder / FILES[0]).stat().st_size)
        found.append(answers(folder, docs, learn.predictor)[0])
    assert sizes[1] < 0.4 * sizes[0]
    assert not np.array_equal(*found) and np.allclose(*found, atol=0.02)
    told = json.loads((folder / FILES[2]).read_text())["int8"]
    assert told["texts"] == len(dls.valid.rows) and told["labels_changed"] >= 0 and told["largest_difference"] < 0.02


def test_labels_that_8_bits_change_are_warned_of(learn, tmp_path, monkeypatch):
    wrong = Graph(replace(learn.predictor, temperature=-1.0))
    monkeypatch.setattr(onnx, "_quantize", lambda file: onnx._write(wrong, file))
    with pytest.warns(UserWarning, match="in 12 validation texts, and change 12 labels: measure"):
        learn.to_onnx(tmp_path / "m", quantize=True)
    monkeypatch.setattr(onnx, "FAR", 0.0)
    with pytest.warns(UserWarning, match="in 64 texts of random words: measure"):
        learn.predictor.to_onnx(tmp_path / "m", quantize=True)
    assert json.loads((tmp_path / "m" / FILES[2]).read_text())["int8"]["labels_changed"] is None


@pytest.mark.slow
def test_numbers_that_8_bits_move_are_no_probabilities(tmp_path):
    df = DF.assign(stars=np.linspace(0, 1000, 60))
    dls = TextDataLoaders.from_df(df, text_col="text", label_col="stars", y_block="regression", bs=8, seed=0)
    learn = text_classifier_learner(dls, AWD_LSTM, config=TINY, pretrained=False, verbose=False, y_range=(0, 1000))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        folder = learn.to_onnx(tmp_path / "m", quantize=True)
    changes = json.loads((folder / FILES[2]).read_text())["int8"]
    assert re.fullmatch(r"move a number by up to [\d.]+ in 12 validation texts", onnx.told(changes))


def test_what_no_graph_describes_is_refused(learn, tmp_path, monkeypatch):
    with pytest.raises(TrainingError, match="E506"):
        lm(text_dls(is_lm=True)).to_onnx(tmp_path / "m")
    with monkeypatch.context() as patch, pytest.raises(TrainingError, match="other numbers"):
        patch.setattr(Graph, "forward", lambda self, ids, lengths: (
            0.5 + (ids[:, :1] + lengths.unsqueeze(1)).expand(-1, 2), lengths))
        learn.to_onnx(tmp_path / "m")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(TrainingError, match="E507"):
        learn.to_onnx(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_an_estimator_writes_its_first_model_and_warns_of_the_others(learn, tmp_path):
    with pytest.warns(UserWarning, match="Without the model of the other direction and the linear models"):
        first_to_onnx([learn, learn], object(), tmp_path / "m", quantize=False)
    assert (tmp_path / "m" / FILES[0]).exists()
    assert callable(ULMFiT.to_onnx)


@pytest.mark.slow
def test_the_script_of_the_guide_answers_without_torch(learn, tmp_path):
    learn.to_onnx(tmp_path / "my-onnx")
    script = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)[1]
    assert len(script.splitlines()) <= 20
    texts = ["The soup was superb.", "The staff was rude."]
    code = f"import sys; sys.modules['torch'] = None\n{script}\nprint(json.dumps(predict({texts!r})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
                          env={"PYTHONPATH": str(Path(ulmfit_easy.__file__).parents[1])})
    assert done.returncode == 0, done.stderr
    for (label, p), said in zip(json.loads(done.stdout.splitlines()[-1]), learn.predict(texts), strict=True):
        assert label == said.label and p == pytest.approx(float(said.probs.max()), abs=1e-3)
