"""What fastai's own tests and common scripts ask for beside the tutorials: loaders, classes, optimizers, hooks."""

import pytest
from parity_toys import DF, classifier, lm, loaders

from ulmfit_easy.all import *  # as a user has it
from ulmfit_easy.errors import ArgumentError, FileError, LabelError, TextError, TrainingError

PLAIN = [(torch.full((2,), float(i)), torch.tensor(i % 2)) for i in range(7)]

# --- loaders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kwargs", [{"is_lm": True}, {"label_col": "label"}])
def test_one_loader_gives_its_first_batch_and_its_next_epoch_is_whole(kwargs):
    dls, again = loaders(**kwargs), loaders(**kwargs)
    first = dls.train.one_batch()
    assert all(torch.equal(a, b) for a, b in zip(first, next(iter(again.train)), strict=True))
    assert torch.equal(first[0], next(iter(dls.train))[0])
    assert torch.equal(dls.valid.one_batch()[0], next(iter(dls.valid))[0])
    assert dls.train.vocab == dls.vocab and len(dls.valid.dataset) == len(dls.valid_ds) == dls.valid.n_rows


def test_one_loader_shows_its_batch(capsys):
    dls = loaders(label_col="label")
    dls.valid.show_batch(max_n=3)
    shown = capsys.readouterr().out
    assert shown.count("xxbos") == 3 and ("pos" in shown or "neg" in shown)
    dls.test_dl(["a film"]).show_batch()
    assert "xxbos a film" in capsys.readouterr().out
    with pytest.raises(TrainingError, match="E506"):
        LMDataLoader(dls.train.ids, [0, 1]).show_batch()


def test_a_new_loader_has_the_same_rows_in_batches_of_another_size():
    dl = loaders(label_col="label").valid
    list(dl)
    other = dl.new(bs=3, shuffle=True)
    assert len(other.one_batch()[0]) == 3 and dl.bs == 8 and not dl.shuffle and other.epoch == 0
    assert sorted(other.targets.tolist()) == sorted(dl.targets.tolist()) and sum(len(b[0]) for b in other) == dl.n_rows
    with pytest.raises(ArgumentError, match="E60"):
        dl.new(bs=0)


def test_loaders_of_torchs_datasets():
    dls = DataLoaders.from_dsets(PLAIN, PLAIN[:3], bs=2)
    assert len(dls.train) == 4 and len(dls.valid) == 2 and dls.train_ds is PLAIN and dls.valid_ds == PLAIN[:3]
    assert dls.valid.one_batch()[1].tolist() == [0, 1]
    learn = Learner(dls, torch.nn.Linear(2, 2), loss_func=CrossEntropyLossFlat(), metrics=accuracy, verbose=False)
    learn.fit(1)
    assert len(learn.recorder.losses) == 4
    with pytest.raises(ArgumentError, match="E60"):
        DataLoaders.from_dsets(PLAIN)
    with pytest.raises(TrainingError, match="E506"):
        _ = DataLoaders([PLAIN], [PLAIN]).train_ds.items


def test_what_loaders_of_other_processes_need_is_ignored():
    ignored = dict(num_workers=0, drop_last=True, pin_memory=False)
    dls = loaders(label_col="label", **ignored)
    block = DataBlock((TextBlock.from_df("text", min_freq=1), CategoryBlock), get_y=ColReader("label"))
    assert sum(len(y) for *_, y in dls.train) == dls.train.n_rows
    assert block.dataloaders(DF, bs=8, **ignored).c == dls.test_dl(["a"], **ignored).prepare.target.c == 2


@pytest.mark.parametrize("item", [{"text": "a film", "id": 7}, pd.Series({"text": "a film", "id": 7})])
def test_the_column_text_stands_for_the_trained_one(item):
    dls = loaders(DF.rename(columns={"text": "review"}), text_col="review", label_col="label")
    renamed = dls.test_dl(DF[["label", "text"]])
    assert torch.equal(renamed.one_batch()[0], dls.test_dl(DF["text"]).one_batch()[0])
    assert dls.given(item) == (["a film"], True)
    both = DF.rename(columns={"text": "review"}).assign(text="other")
    assert torch.equal(dls.test_dl(both).one_batch()[0], renamed.one_batch()[0])  # the trained one comes first
    with pytest.raises(TextError, match="E102"):
        dls.test_dl(DF.rename(columns={"text": "txt"}))


def test_control_tokens_come_with_the_star_import():
    assert (UNK, PAD, BOS, EOS, FLD, TK_REP, TK_WREP, TK_UP, TK_MAJ) == SPECIAL_TOKENS


# --- optimizers, schedules, splitters, callbacks ----------------------------------------------------------------------


def test_one_bare_tensor_is_a_group_of_one_parameter():
    p = torch.arange(4.0)
    p.grad = torch.ones(4)
    opt = SGD(p, lr=0.1)
    opt.step()
    assert torch.allclose(p, torch.arange(4.0) - 0.1) and len(opt.param_groups) == 1


def test_several_hyper_parameters_are_set_at_once_and_groups_are_frozen():
    opt = SGD([[torch.zeros(1, requires_grad=True)] for _ in range(3)], lr=0.1)
    opt.set_hypers(lr=slice(1e-4, 1e-2), wd=0.5)
    assert [h["lr"] for h in opt.hypers] == pytest.approx([1e-4, 1e-3, 1e-2]) and opt.hypers[0]["wd"] == 0.5
    opt.freeze()
    assert [p.requires_grad for group in opt.param_groups for p in group] == [False, False, True]
    opt.unfreeze()
    assert all(p.requires_grad for group in opt.param_groups for p in group) and opt.frozen_idx == 0


def test_torchs_parameter_groups_are_layer_groups_with_values_of_their_own():
    a, b, c = (torch.ones(2, requires_grad=True) for _ in range(3))
    dicts = [{"params": [a, b], "lr": 0.1, "weight_decay": 0.5}, {"params": c, "lr": 0.01}]
    opt = OptimWrapper(dicts, torch.optim.SGD, momentum=0.9)
    assert [len(group) for group in opt.param_groups] == [2, 1] and opt.hypers[1]["wd"] == 0
    assert [h["lr"] for h in opt.hypers] == [0.1, 0.01] and opt.hypers[0]["wd"] == 0.5 and opt.hypers[1]["mom"] == 0.9
    for p in (a, c):
        p.grad = torch.ones(2)
    opt.step()
    assert a.tolist() == pytest.approx([0.85] * 2) and c.tolist() == pytest.approx([0.99] * 2) and b.sum() == 2
    assert [h["lr"] for h in OptimWrapper(iter(dicts), torch.optim.SGD, lr=1).hypers] == [1, 1]


def test_schedules_can_be_handed_to_another_process():
    import pickle

    curves = [SchedNo(1, 2), SchedLin(1, 2), SchedCos(1, 2), SchedExp(1, 2), SchedPoly(1, 2, 3),
              combined_cos(0.3, 1, 2, 0), combine_scheds([0.5, 0.5], [SchedLin(0, 1), SchedCos(1, 0)])]
    for curve in curves:
        again = pickle.loads(pickle.dumps(curve))
        assert [again(pos) for pos in (0.0, 0.2, 0.7, 1.0)] == [curve(pos) for pos in (0.0, 0.2, 0.7, 1.0)]


def test_a_splitter_of_several_folders_keeps_their_order():
    files = [f"{folder}/pos/{i}.txt" for i in range(2) for folder in ("valid", "train", "test")]
    train, valid = GrandparentSplitter(train_name=("train", "valid"), valid_name="test")(files)
    assert train.tolist() == [1, 4, 0, 3] and valid.tolist() == [2, 5]


def test_a_callback_gives_back_what_its_method_gave():
    learn = Learner(DataLoaders([], []), torch.nn.Linear(2, 2), loss_func=MSELossFlat())
    cb = Callback(before_fit=lambda self: 7)
    learn.add_cb(cb)
    assert cb("before_fit") == 7 and cb("after_fit") is None


def test_files_of_any_kind_are_listed(tmp_path):
    for name in ("a.txt", "b.MD", ".hidden", "sub/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    names = [[p.name for p in get_files(tmp_path, **kwargs)] for kwargs in (
        {}, {"extensions": [".md"]}, {"recurse": False}, {"folders": ["sub"]})]
    assert names == [["a.txt", "b.MD", "c.txt"], ["b.MD"], ["a.txt", "b.MD"], ["c.txt"]]


# --- classes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("col", "kwargs", "classes"), [
    ([4, 2, 3, 4], {}, [2, 3, 4]), ([4, 2, 3, 4], {"add_na": True}, ["#na#", 2, 3, 4]),
    (pd.Series([4, 2, np.nan, 3, 4]), {"sort": False}, [4, 2, 3]),
    (pd.Series(pd.Categorical(["M", "H", "M"], categories=["H", "M", "L"])), {}, ["H", "M", "L"]),
    (pd.Series(pd.Categorical(["M", "H", "M"], categories=["H", "M", "L"])), {"strict": True}, ["H", "M"]),
])  # fmt: skip
def test_the_classes_of_a_column(col, kwargs, classes):
    found = CategoryMap(col, **kwargs)
    assert found == classes and found.o2i == {name: i for i, name in enumerate(classes)}
    assert found.map_objs(classes[:2]) == [0, 1] and found.map_ids([1, 0]) == [classes[1], classes[0]]
    if kwargs.get("add_na"):
        assert found.o2i["unseen"] == 0
    else:
        with pytest.raises(KeyError):
            found.map_objs(["unseen"])


def test_the_classes_of_loaders_take_masks():
    import json
    import pickle

    classes = loaders(label_col="label").vocab[1]
    assert classes[torch.tensor([0.2, 0.8]) > 0.5] == ["pos"] and classes[np.array([True, False])] == ["neg"]
    assert classes[torch.tensor([1, 1, 0])] == ["pos", "pos", "neg"] and classes[torch.tensor(1)] == "pos"
    assert classes[:1] == ["neg"] and classes[-1] == "pos" and classes[[]] == [] and json.dumps(classes)
    assert pickle.loads(pickle.dumps(classes)).o2i == classes.o2i == {"neg": 0, "pos": 1}
    with pytest.raises(ValueError, match="zip"):
        _ = classes[torch.tensor([True])]


# --- hooks and recurrent models ---------------------------------------------------------------------------------------


def test_a_hook_keeps_what_a_module_gives_until_it_is_removed():
    model, x = torch.nn.Linear(5, 3), torch.randn(4, 5)
    with Hook(model, lambda m, inputs, output: (m, inputs, output)) as hook:
        y = model(x)
    assert hook.stored[0] is model and torch.equal(hook.stored[1][0], x) and torch.equal(hook.stored[2], y)
    assert not hook.stored[2].requires_grad and not model._forward_hooks
    with hook_output(model, detach=False) as hook:
        y = model(x)
    assert hook.stored is y
    with hook_output(model, grad=True) as hook:
        y = model(x)
        y.pow(2).mean().backward()
    assert torch.allclose(hook.stored[0], 2 * y / y.numel())
    model(x + 1)
    assert torch.allclose(hook.stored[0], 2 * y / y.numel())


def test_hooks_on_several_modules_and_their_parameters():
    layers = [torch.nn.Linear(5, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1)]
    model, x = torch.nn.Sequential(*layers), torch.randn(4, 5)
    with hook_outputs(model) as hooks, Hooks(layers, lambda m, i, o: o.shape, cpu=True) as shapes:
        y = model(x)
    assert torch.equal(hooks.stored[2], y) and shapes.stored == [(4, 3), (4, 3), (4, 1)] and len(hooks) == 3
    assert hooks[0].stored.min() < 0 and not any(layer._forward_hooks for layer in layers)
    assert has_params(model) and not has_params(layers[1])
    assert total_params(layers[0]) == (18, True) and total_params(layers[1]) == (0, False)
    assert total_params(layers[0].requires_grad_(False)) == (18, False)


def test_a_model_of_fastais_own_shape_trains_with_the_recurrent_callbacks():
    class Recurrent(Module):
        def __init__(self, width):
            self.emb, self.rnn = torch.nn.Embedding(9, width), torch.nn.LSTM(width, width, batch_first=True)
            self.out = torch.nn.Linear(width, 9)

        def forward(self, ids):
            raw, _ = self.rnn(self.emb(ids))
            dropped = torch.nn.functional.dropout(raw, 0.5, self.training)
            return self.out(dropped), [raw], dropped

    seen = []
    batches = [(torch.randint(9, (2, 5)), torch.randint(9, (2, 5)))] * 2
    watch = Callback(after_pred=lambda self: seen.append((self.pred.shape, self.rnn.raw_out.shape, self.rnn.mask)),
                     after_loss=lambda self: seen.append(bool(self.loss_grad > self.loss)))
    watch.order = 2
    learn = Learner(DataLoaders(batches, batches[:1]), Recurrent(4), loss_func=CrossEntropyLossFlat(), verbose=False,
                    cbs=[*rnn_cbs(alpha=2, beta=1), watch], metrics=accuracy)
    learn.fit(1)
    assert seen[:2] == [((2, 5, 9), (2, 5, 4), None), True] and len(list(learn.model.parameters())) == 7
    assert [type(cb) for cb in rnn_cbs()] == [ModelResetter, RNNCallback]


# --- texts, files, messages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("get_x", [lambda r: r["text"], lambda r: r.text, AttrGetter("text")])
def test_the_texts_of_a_block_are_in_the_column_text_for_a_getter(get_x):
    df = DF.rename(columns={"text": "review"})
    block = DataBlock((TextBlock.from_df("review", min_freq=1), CategoryBlock), get_x=get_x, get_y=ColReader("label"))
    dls = block.dataloaders(df, bs=8, seed=0)
    assert torch.equal(dls.test_dl(df).one_batch()[0], dls.test_dl(DF["text"]).one_batch()[0])
    assert dls.config()["text"]["text_cols"] == ["review"]


def test_a_getter_may_still_make_texts_of_its_own():
    df = DF.rename(columns={"text": "review"})
    block = DataBlock((TextBlock.from_df("review", min_freq=1), CategoryBlock), get_x=lambda r: "zebra " + r["review"],
                      get_y=ColReader("label"))
    assert "zebra" in block.dataloaders(df, bs=8).text_vocab


def test_words_are_numbered_from_tokens_or_from_their_counts():
    from collections import Counter

    tokens = [["this", "is", "this"], ["is", "it"]]
    found = [Numericalize(min_freq=2).setup(given).vocab for given in (tokens, Counter(sum(tokens, [])))]
    assert found[0] == found[1] and found[0][9:11] == ["this", "is"]


def test_pieces_are_learned_from_the_texts_that_are_tokenized():
    texts = DF["text"].tolist()
    df, count = tokenize_df(DF, "text", tok=SentencePieceTokenizer(vocab_sz=60))
    lists = tokenize_texts(texts, tok=SentencePieceTokenizer(vocab_sz=60))
    assert df["text"].tolist() == lists == [
        tokens for _, tokens in parallel_tokenize(texts, SentencePieceTokenizer(vocab_sz=60))]
    assert count["xxbos"] == len(texts)


def test_a_tokenized_folder_without_its_counts_is_made_anew(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t/a.txt").write_text("One film.")
    for name in ("counter.json", "lengths.json"):
        out = tokenize_folder(tmp_path / "t")
        (out / name).unlink()
        assert (tokenize_folder(tmp_path / "t") / name).exists()


def test_messages_name_the_way_out(tmp_path):
    from ulmfit_easy.models.dropout import WeightDropout

    with pytest.raises(ArgumentError, match="E602.*batch_first=True"):
        WeightDropout(torch.nn.LSTM(5, 7), 0.4)
    learn = Learner(DataLoaders([PLAIN], [PLAIN]), torch.nn.Linear(2, 2), loss_func=MSELossFlat())
    with pytest.raises(ArgumentError, match=r"E602.*moms=\(0.8, 0.7, 0.8\)"):
        learn.fit_one_cycle(1, moms=(0.8, 0.7))
    with pytest.raises(LabelError, match="E206.*a share above 0 as valid_pct=, such as 0.1"):
        loaders(is_lm=True, valid_pct=0)
    (tmp_path / "train").mkdir()
    with pytest.raises(FileError, match=r"E404.*without a folder 'valid'.*valid_pct=0.2"):
        TextDataLoaders.from_folder(tmp_path)


def test_the_exported_folder_is_named_where_fastais_file_is_asked_for(tmp_path):
    folder = classifier(path=tmp_path).export()
    with pytest.raises(FileError, match=f"E404.*pass {folder},"):
        load_learner(tmp_path / "export.pkl")


def test_pretrained_files_may_be_named_to_the_learner(tmp_path):
    import pickle

    old = lm(path=tmp_path)
    old.save("old")
    (tmp_path / "models/words.pkl").write_bytes(pickle.dumps(old.dls.vocab))
    new = lm(path=tmp_path)
    torch.nn.init.zeros_(new.encoder.encoder.weight)
    new.load_pretrained(tmp_path / "models/old.safetensors", tmp_path / "models/words.pkl")
    assert torch.equal(new.encoder.encoder.weight, old.encoder.encoder.weight)


def test_a_plain_loader_says_how_many_parts_of_a_batch_are_inputs():
    loader = torch.utils.data.DataLoader([(torch.ones(2), torch.zeros(1), torch.ones(1))] * 4, 2)
    loader.n_inp = 1
    seen = []

    def loss(pred, y1, y2):
        seen.append((y1.sum().item(), y2.sum().item()))
        return pred.mean()

    Learner(DataLoaders(loader, loader), torch.nn.Linear(2, 1), loss_func=loss, verbose=False).fit(1)
    assert seen[0] == (0, 2)
