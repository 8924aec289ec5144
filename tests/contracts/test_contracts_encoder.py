"""What every encoder promises. One of yours is done when it passes: add it, with sizes for a test, to `SIZES`."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from encoder_toys import Causal, Neighbours

from ulmfit_easy.all import (
    AWD_LSTM,
    AWD_QRNN,
    AuxiliaryLM,
    BaseTokenizer,
    Callback,
    CheckpointCallback,
    TextDataLoaders,
    generate,
    language_model_learner,
    load_learner,
    set_seed,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.learner.export import InferenceModule
from ulmfit_easy.learner.score import score_ids
from ulmfit_easy.models.archs import checks_of, get_arch
from ulmfit_easy.models.awd_lstm import AWDEncoder
from ulmfit_easy.models.bag import BagOfVectors
from ulmfit_easy.models.causal import CausalTransformer
from ulmfit_easy.models.classifier import get_text_classifier
from ulmfit_easy.models.elmo import ELMo
from ulmfit_easy.models.encoder import Encoder, Memory, text_split
from ulmfit_easy.models.evaluated import evaluated
from ulmfit_easy.models.language_model import LanguageModel, get_language_model
from ulmfit_easy.models.readers import Whole
from ulmfit_easy.models.softmax import LMDecoder
from ulmfit_easy.models.transformer import Transformer
from ulmfit_easy.schema import misfits

V = 30
SIZES = {AWD_LSTM: dict(emb_sz=8, n_hid=12, n_layers=2), AWD_QRNN: dict(emb_sz=8, n_hid=12, n_layers=2),
         BagOfVectors: {}, Causal: {}, Neighbours: {}, ELMo: dict(emb_sz=8, n_hid=12, n_layers=2)}
if find_spec("transformers"):
    SIZES[Transformer] = {"body": dict(model_type="bert", hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
                                       intermediate_size=8, max_position_embeddings=12)}
    SIZES[CausalTransformer] = {"body": dict(model_type="llama", hidden_size=8, num_hidden_layers=2,
                                             num_attention_heads=2, num_key_value_heads=1, intermediate_size=8,
                                             max_position_embeddings=12)}
STREAMS = [arch for arch in SIZES if arch.streams]
every = pytest.mark.parametrize("arch", SIZES)
streaming = pytest.mark.parametrize("arch", STREAMS)


@pytest.fixture(autouse=True)
def seed():
    set_seed(0)


def classifier(arch, seq_len=7, **kwargs):
    """Return a classifier in evaluation mode whose batch norms have statistics of their own."""
    set_seed(0)
    model = get_text_classifier(arch, V, 3, seq_len, SIZES[arch], **kwargs).eval()
    for value in model.head.buffers():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5)
    return model


def language_model(arch, **kwargs):
    """Return a language model in evaluation mode."""
    set_seed(0)
    return get_language_model(arch, V, SIZES[arch], **kwargs).eval()


def texts(*lengths):
    """Return ids (B, T) padded on the right, and lengths (B,)."""
    ids = torch.randint(9, V, (len(lengths), max(1, *lengths)), generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor(lengths)
    return ids.where(torch.arange(ids.shape[1]) < lengths[:, None], 1), lengths


def data(is_lm=False, n=30, words=()):
    """Return loaders of toy reviews."""
    table = toy_reviews(n=n, seed=0)
    table["text"] = [f"{' '.join(words)} {text}" for text in table["text"]]
    return TextDataLoaders.from_df(table, "", text_col="text", label_col="label", is_lm=is_lm, min_freq=1, seed=0,
                                   tok_tfm=BaseTokenizer(), bs=8, seq_len=6)


def lm_learner(arch, dls=None, path=".", **kwargs):
    set_seed(0)
    return language_model_learner(data(is_lm=True, n=14) if dls is None else dls, arch, path=path, verbose=False,
                                  **{"config": SIZES.get(arch), "pretrained": False, **kwargs})


def text_learner(arch, dls=None, path=".", **kwargs):
    set_seed(0)
    return text_classifier_learner(data() if dls is None else dls, arch, path=path, verbose=False,
                                   **{"config": SIZES.get(arch), "pretrained": False, **kwargs})


def learners(arch, **kwargs):
    """Return a classifier and, if the encoder streams, a language model."""
    return [make(arch, **kwargs) for make in (text_learner, lm_learner)[:1 + arch.streams]]


close = torch.testing.assert_close


# --- long texts ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(Transformer not in SIZES, reason="needs the package transformers: pip install -e '.[hf]'")
@pytest.mark.parametrize("head", ["PoolingLinearClassifier", "CLSHead"])
def test_head_and_tail_of_a_long_text_are_read_in_any_batch_in_training_and_once_loaded(head, tmp_path):
    learn = text_learner(Transformer, path=tmp_path, head=head, max_len="head+tail", drop_mult=0)
    ids, lengths = texts(5, 40, 12, 13)
    for model in (learn.model.eval(), load_learner(learn.export()).model.eval(), learn.model.eval().whole()):
        found = model(ids, lengths).logits
        for row, n in enumerate(lengths.tolist()):
            close(model(ids[row:row + 1, :n], lengths[row:row + 1]).logits[0], found[row])
        of_ends = torch.cat([ids[1, :4], ids[1, 32:40]])[None]  # of 12 tokens
        close(model(of_ends, torch.tensor([12])).logits[0], found[1])
    assert learn.model(ids, lengths).raw.shape[1] == 12
    assert learn.predictor.model[0].head_tail and learn.model.config()["reader"]["max_len"] == "head+tail"


@pytest.mark.skipif(Transformer not in SIZES, reason="needs the package transformers: pip install -e '.[hf]'")
@pytest.mark.parametrize("wrong", [dict(window=13), dict(window=8, stride=4), dict(stride=6), dict(stride=-2)], ids=str)
def test_a_window_and_a_stride_that_do_not_fit_are_e602(wrong, tmp_path):
    sizes = SIZES[Transformer]
    learn = text_learner(Transformer, path=tmp_path, config=sizes | dict(window=8, stride=3))
    loaded = load_learner(learn.export()).encoder
    assert (loaded.span, loaded.stride) == (8, 3)
    with pytest.raises(ArgumentError, match="E602.*stride"):
        text_learner(Transformer, config=sizes | wrong)


@every
def test_head_and_tail_are_refused_by_an_encoder_without_positions(arch):
    if arch is not Transformer:
        with pytest.raises(ArgumentError, match=f"E603.*head\\+tail.*{arch.__name__}, which reads texts of any length"):
            classifier(arch, max_len="head+tail")
    with pytest.raises(ArgumentError, match=r"E60[12].*max_len='middle'.*head\+tail"):
        text_learner(arch, max_len="middle")


# --- states -------------------------------------------------------------------------------------------------------


@every
def test_shapes(arch):
    encoder, (ids, lengths) = classifier(arch).encoder, texts(5, 9, 2)
    out = encoder(ids, lengths)
    assert out.raw.shape == (3, 9, encoder.width)
    assert out.embedded.shape == (3, 9, encoder.embedding.embedding_dim)
    assert isinstance(out.memory, Memory) is arch.streams


@every
def test_an_encoder_is_a_pure_function(arch):
    encoder, (ids, lengths) = classifier(arch).encoder, texts(5, 9, 2)
    before = encoder(ids, lengths).raw
    encoder(ids.flip(0), lengths.flip(0))
    assert torch.equal(encoder(ids, lengths).raw, before)


@every
def test_the_states_of_each_layer_come_on_request(arch):
    encoder, (ids, lengths) = classifier(arch).encoder, texts(5, 19, 2)
    asked, plain = encoder(ids, lengths, layers=True), encoder(ids, lengths)
    assert plain.layers == () and torch.equal(asked.raw, plain.raw) and torch.equal(asked.layers[-1], asked.raw)
    assert len(asked.layers) == len(encoder.groups())
    assert [layer.shape[:2] for layer in asked.layers] == [ids.shape] * len(asked.layers)
    alone = encoder(ids[2:, :2], lengths[2:], layers=True).layers
    close([layer[2:, :2] for layer in asked.layers], list(alone))


@streaming
def test_a_classifier_guesses_the_next_tokens_of_what_its_head_sees(arch):
    learn, losses = text_learner(arch, max_len=12, seq_len=6, drop_mult=0, precision="fp32").unfreeze(), []

    def check(callback):
        (ids, lengths), weight = learn.xb, learn.encoder.embedding.weight
        first = ((lengths - 12).clamp_min(0) + 5) // 6 * 6
        told = [F.log_softmax(learn.encoder(row[None, :n]).raw[0, at:-1] @ weight.T, 1).gather(1, row[at + 1:n, None])
                for row, at, n in zip(ids, first.tolist(), lengths.tolist(), strict=True)]
        losses.append((learn.auxiliary_lm.lm_loss, -torch.cat(told).mean()))

    learn.fit(1, 0, cbs=[AuxiliaryLM(), Callback(before_backward=check)])
    for found, expected in losses:
        close(found, expected)


@every
def test_states_are_penalised_as_the_encoder_says_unless_a_learner_says_otherwise(arch):
    reg, ours = text_learner(arch).rnn_regularizer, text_learner(arch, beta=0.5).rnn_regularizer
    assert (reg.alpha, reg.beta) == arch.penalties == ((2, 1) if issubclass(arch, AWDEncoder) else (0, 0))
    assert (ours.alpha, ours.beta) == (reg.alpha, 0.5)


@every
@pytest.mark.parametrize("head", ["CLSHead", "LastTokenHead"])
def test_a_head_over_one_token_reads_it_beside_padding_as_alone(arch, head):
    model, (ids, lengths) = classifier(arch, max_len=7, head=head), texts(31, 1, 8, 0)
    together, place = model(ids, lengths), 0 if head == "CLSHead" else -1
    for row, n in enumerate(lengths.tolist()):
        state = model[0](ids[row:row + 1, :max(1, n)], lengths[row:row + 1]).raw[:, place]
        close(together.logits[row:row + 1], model.head.layers(state if n else torch.zeros_like(state)))


@every
@pytest.mark.parametrize("max_len", [20, None])
def test_a_prediction_depends_on_no_neighbour_no_order_no_padding(arch, max_len):
    model, (ids, lengths) = classifier(arch, max_len=max_len, pool_words=True), texts(31, 1, 8, 40, 0)
    together = model(torch.nn.functional.pad(ids, (0, 9), value=1), lengths).logits
    alone = torch.cat([model(ids[i:i + 1, :max(1, n)], lengths[i:i + 1]).logits for i, n in enumerate(lengths)])
    close(together, alone, atol=1e-5, rtol=1e-4)
    order = torch.tensor([3, 1, 4, 0, 2])
    close(model(ids[order], lengths[order]).logits, alone[order], atol=1e-5, rtol=1e-4)


@every
def test_a_classifier_says_the_same_for_any_seq_len(arch):
    ids, lengths = texts(31, 1, 8, 40)
    first, *others = (classifier(arch, seq_len, max_len=None)(ids, lengths).logits for seq_len in (1, 3, 8, 99))
    for other in others:
        close(other, first, atol=1e-5, rtol=1e-4)


@every
def test_a_classifier_read_whole_says_the_same(arch):
    model, (ids, lengths) = classifier(arch, max_len=14), texts(31, 1, 8, 40)
    close(model.whole()(ids, lengths).logits, model(ids, lengths).logits, atol=1e-5, rtol=1e-4)


@every
def test_only_the_last_max_len_tokens_are_judged(arch):
    mask = classifier(arch, 7, max_len=14)(*texts(31, 8)).mask
    n_kept = (~mask).sum(1).tolist()
    assert n_kept == ([10, 8] if arch.streams else [14, 8])


def test_an_empty_text_is_read_as_one_token_of_padding():
    model, seen = classifier(Neighbours), []
    model.encoder.register_forward_pre_hook(lambda module, args: seen.append(args[1].tolist()))
    model(*texts(3, 0))
    assert seen == [[3, 1]]


@pytest.mark.slow
@every
@torch.no_grad()
def test_a_classifier_exports(arch):
    model, batch = classifier(arch, seq_len=2, max_len=4), texts(9, 5, 7)
    exported = torch.export.export(InferenceModule(model, torch.nn.Identity()), batch, strict=False).module()
    close(exported(*batch), model(*batch).logits, atol=1e-5, rtol=1e-4)


# --- memory -------------------------------------------------------------------------------------------------------


@streaming
@pytest.mark.parametrize("cut", [1, 4, 11])
def test_windows_equal_one_reading(arch, cut):
    encoder, (ids, _) = language_model(arch).encoder, texts(12, 12, 12)
    first = encoder(ids[:, :cut])
    second, whole = encoder(ids[:, cut:], memory=first.memory), encoder(ids)
    close(torch.cat([first.raw, second.raw], 1), whole.raw)
    close(tuple(second.memory), tuple(whole.memory))


@streaming
def test_rows_of_a_memory_follow_their_texts(arch):
    encoder, (ids, _) = language_model(arch).encoder, texts(6, 6, 6)
    memory, order = encoder(ids).memory, [2, 0, 0]
    assert memory.bs == 3 and memory.rows([2]).bs == 1
    joined = Memory.join([memory.rows([2]), memory.rows(slice(1)), memory.rows(slice(1))])
    for moved in (memory.rows(order), joined, memory.rows(order).to("cpu").detach()):
        close(encoder(ids, memory=moved).raw, encoder(ids, memory=encoder(ids[order]).memory).raw)


@streaming
def test_no_state_knows_a_later_token(arch):
    encoder, (ids, _) = language_model(arch).encoder, texts(9, 9)
    changed = ids.clone()
    changed[:, 5:] = 9 + (ids[:, 5:] - 8) % (V - 9)
    before, after = encoder(ids).raw, encoder(changed).raw
    close(after[:, :5], before[:, :5])
    assert not torch.allclose(after[:, 5], before[:, 5])


@streaming
def test_a_text_is_continued_as_if_read_anew_for_each_token(arch, monkeypatch):
    model, prompts = language_model(arch), [[12, 20, 9, 11, 25, 14, 28], [10]]
    expected = []
    for prompt in prompts:
        ids = list(prompt)
        for _ in range(6):
            ids.append(int(model(torch.tensor([ids])).logits()[0, -1].argmax()))
        expected.append(ids[len(prompt):])
    assert generate(model, prompts, 6, top_k=1) == expected
    assert generate(model, prompts, 6, beam=1) == expected
    monkeypatch.setattr("ulmfit_easy.models.generate.WINDOW", 2)
    assert generate(model, prompts, 6, top_k=1) == expected


@streaming
def test_the_texts_of_a_beam_come_in_the_order_of_their_likelihood(arch):
    model, prompt = language_model(arch), [12, 20, 9, 11]
    likelihoods = []
    for added in generate(model, prompt, 4, beam=6, num_samples=6):
        logp = model(torch.tensor([prompt + added])).logits()[0, len(prompt) - 1:-1].log_softmax(1)
        likelihoods.append(logp[range(4), added].sum().item())
    assert likelihoods == sorted(likelihoods, reverse=True) and likelihoods[0] > likelihoods[-1]


@streaming
def test_a_score_is_the_same_for_any_seq_len(arch):
    learn, docs = lm_learner(arch), [np.arange(9, 9 + n) for n in (19, 2, 7)]
    found = []
    for seq_len in (1, 6, 50):
        learn.dls.prepare = replace(learn.dls.prepare, seq_len=seq_len)
        found.append([score.logprob for score in score_ids(learn, docs)])
    assert found[1] == pytest.approx(found[0], rel=1e-5) and found[2] == pytest.approx(found[0], rel=1e-5)


REFUSED = r"E603.*with Neighbours, an encoder without memory.*streams = True.*text_classifier_learner"


def test_without_memory_nothing_is_generated_scored_or_trained_on_streams():
    encoder = classifier(Neighbours).encoder
    model = LanguageModel(encoder, LMDecoder(V, encoder.width))
    learn = lm_learner(AWD_LSTM)
    for refused in (lambda: generate(model, [9, 10], 2), lambda: lm_learner(Neighbours),
                    lambda: type(learn)(learn.dls, model)):
        with pytest.raises(ArgumentError, match=REFUSED):
            refused()
    learn.model = model
    with pytest.raises(ArgumentError, match=REFUSED):
        learn.logprob("a text")


# --- names, groups, files -----------------------------------------------------------------------------------------


@every
def test_an_encoder_is_found_by_its_name(arch):
    assert get_arch(arch) is get_arch(arch.__name__) is get_arch(arch.__name__.lower()) is arch


@every
def test_groups_have_each_parameter_once(arch):
    for learn in learners(arch):
        groups, model = text_split(learn.model), learn.model
        assert sorted(id(p) for group in groups for p in group) == sorted(map(id, model.parameters()))
        assert {id(p) for p in model.head.parameters()} <= {id(p) for p in groups[-1]}
        assert [len(group) > 0 for group in groups] == [True] * len(groups)
        at = [model.encoder.embedding.weight in set(group) for group in groups].index(True)
        assert at == (len(groups) - 1 if isinstance(model, LanguageModel) else 0)


@every
def test_each_config_builds_and_drop_mult_0_drops_nothing(arch):
    for make in (classifier, language_model)[:1 + arch.streams]:
        encoder, (ids, lengths) = make(arch, drop_mult=0).encoder, texts(6, 9, 8)
        close(encoder.train()(ids, lengths).raw, encoder.eval()(ids, lengths).raw)


@every
def test_each_setting_has_a_check_and_passes_it(arch):
    for learn in learners(arch):
        config = {**learn.dls.config(), **learn.model.config()}
        for values, table in ((config["text"], Preparation.SETTINGS), (config["target"], learn.dls.target.SETTINGS),
                              (config["head"]["config"], type(learn.head).SETTINGS),
                              (config["encoder"]["config"], checks_of(arch.lm_config | arch.clas_config)),
                              (config.get("reader", {}), Whole.SETTINGS)):
            assert (values.keys() - table.keys(), misfits(values, table)) == (set(), [])


@every
def test_a_model_is_loaded_as_it_was_saved(arch, tmp_path):
    for learn in learners(arch, path=tmp_path):
        again, batch = load_learner(learn.export()), learn.dls.one_batch()[:learn.dls.n_inp]
        assert type(again.encoder) is arch and again.model.config() == learn.model.config()
        ours, theirs = (evaluated(each.model)(*batch).raw for each in (learn, again))
        assert torch.equal(ours, theirs)
        learn.save("weights")
        other = learn.load("weights")
        assert torch.equal(evaluated(other.model)(*batch).raw, ours)


def test_a_model_of_an_encoder_that_is_not_known_says_to_import_it(tmp_path, monkeypatch):
    folder = text_learner(Causal, path=tmp_path).export()
    monkeypatch.delitem(Encoder.known, "Causal")
    with pytest.raises(FileError, match=r"E401.*'Causal'.*first import the file that defines it"):
        load_learner(folder)


class Variant(Neighbours):
    """A variant of an encoder, with its config."""


class Sizes(Neighbours):
    """An encoder whose config has a string, a list and a dict."""

    clas_config = Neighbours.clas_config | dict(cell="gru", widths=[4, 8], more={})

    def __init__(self, vocab_sz, cell, widths, more, **config):
        super().__init__(vocab_sz, **config)


@pytest.mark.parametrize(("arch", "config"), [(Variant, {}), (Sizes, dict(cell="lstm", widths=(2, 3), more={"a": 1}))])
def test_a_variant_and_its_settings_are_saved(arch, config, tmp_path):
    again = load_learner(text_learner(arch, path=tmp_path, config=config).export())
    found = again.encoder.settings
    assert type(again.encoder) is arch
    assert found == {"emb_sz": 8, **({"cell": "lstm", "widths": [2, 3], "more": {"a": 1}} if config else {})}


def test_a_default_that_no_file_holds_is_e601():
    class NoKind(Neighbours):
        clas_config = Neighbours.clas_config | dict(width=None)

    with pytest.raises(ArgumentError, match="E601.*width=None"):
        text_learner(NoKind)
    del Encoder.known["NoKind"]


@pytest.mark.parametrize("found", [[], [["embedding"]]])
def test_groups_that_leave_out_a_parameter_are_e603(found, monkeypatch):
    monkeypatch.setattr(Neighbours, "groups", lambda self: [[self.embedding.weight] for _ in found])
    with pytest.raises(ArgumentError, match=r"E603.*Neighbours.groups\(\) without .*look.weight"):
        text_learner(Neighbours)


@streaming
def test_a_language_model_passes_on_its_encoder_and_the_rows_of_its_words(arch, tmp_path):
    folder = lm_learner(arch, path=tmp_path).export()
    theirs = load_learner(folder)
    more = data(words=["thereto"])  # another vocabulary
    learn = text_learner(arch, more, pretrained=folder)
    old, new = (dict(each.encoder.named_parameters()) for each in (theirs, learn))
    names = [name for name, p in old.items() if p is theirs.encoder.embedding.weight]
    assert all(torch.equal(new[name], old[name]) for name in old.keys() - set(names))
    words = [word for word in more.text_vocab if word in theirs.dls.text_vocab]
    assert len(more.text_vocab) > len(words) > 9
    rows = [[each.dls.text_vocab.stoi[w] for w in words] for each in (learn, theirs)]
    close(learn.encoder.embedding.weight[rows[0]], theirs.encoder.embedding.weight[rows[1]])
    again = lm_learner(arch, data(is_lm=True, words=["thereto"]), pretrained=folder)
    assert again.encoder.embedding.weight is again.head.decoder.weight


@streaming
def test_a_classifier_takes_the_encoder_of_a_language_model(arch):
    lm = lm_learner(arch)
    learn = text_learner(arch, TextDataLoaders.from_df(
        toy_reviews(n=30, seed=0), text_vocab=lm.dls.vocab, tok_tfm=BaseTokenizer(), bs=8)).take_encoder(lm)
    for ours, theirs in zip(learn.encoder.parameters(), lm.encoder.parameters(), strict=True):
        assert torch.equal(ours, theirs)


class Stop(Callback):
    """Ends a fit after some batches."""

    order = 200

    def after_batch(self):
        if self.training and self.train_iter == 2:
            raise KeyboardInterrupt


@every
@pytest.mark.parametrize("kind", ["classifier", "language model"])
def test_a_stopped_fit_resumes_to_the_bit(arch, kind, tmp_path):
    if kind == "language model" and not arch.streams:
        return
    make = {"classifier": text_learner, "language model": lm_learner}[kind]

    def fit(*cbs):
        learn = make(arch, path=tmp_path)
        try:
            learn.fit(1, 1e-2, cbs=cbs)
        except KeyboardInterrupt:
            pass
        return [p.detach() for p in learn.model.parameters()]

    unbroken = fit()
    stopped = fit(CheckpointCallback("run", every=1), Stop())
    assert not all(map(torch.equal, stopped, unbroken))
    assert all(map(torch.equal, fit(CheckpointCallback("run", resume=True)), unbroken))


# --- features that are kept ---------------------------------------------------------------------------------------


@every
def test_a_head_answers_from_features_as_from_texts(arch):
    model, batch = classifier(arch), texts(9, 23, 1)
    with torch.no_grad():
        close(model(*batch, model.features(*batch)).logits, model(*batch).logits)
    learn = text_learner(arch, cache_features=True).freeze()
    assert learn.cache_features._is_current() == (not arch.new_on_top)
    assert not learn.freeze_to(-2).cache_features._is_current()
