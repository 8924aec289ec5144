"""Ten pieces of ordinary fastai user code, written from its documented API: only the import line is another."""

import matplotlib

matplotlib.use("Agg")

import pytest

from ulmfit_easy.all import *  # was: from fastai.text.all import *


@pytest.fixture(autouse=True)
def at_home(tmp_path, monkeypatch):
    """A folder of its own, with labelled reviews as files and as tables, and an architecture that a test can afford."""
    monkeypatch.chdir(tmp_path)
    df = toy_reviews(150, seed=0).assign(is_valid=lambda d: d.index % 5 == 0)
    for i, row in df.iterrows():
        folder = Path("imdb") / ("test" if row["is_valid"] else "train") / row["label"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.txt").write_text(row["text"])
    df.to_csv("reviews.csv", index=False)
    for config in (awd_lstm_lm_config, awd_lstm_clas_config):  # fastai users change these dicts too
        for name, value in {"emb_sz": 16, "n_hid": 24, "n_layers": 3}.items():
            monkeypatch.setitem(config, name, value)


def test_the_text_tutorial():
    path = Path("imdb")
    dls = TextDataLoaders.from_folder(path, valid="test")
    dls.show_batch()
    learn = text_classifier_learner(dls, AWD_LSTM, drop_mult=0.5, metrics=accuracy, pretrained=False)
    learn.fine_tune(2, 1e-2)
    learn.show_results()
    label, index, probs = learn.predict("I really liked that movie!")
    assert label == dls.vocab[1][int(index)] and probs[index] == probs.max()


def test_the_three_stages_with_data_blocks():
    path = Path("imdb")
    get_imdb = partial(get_text_files, folders=["train", "test"])
    dls_lm = DataBlock(
        blocks=TextBlock.from_folder(path, is_lm=True), get_items=get_imdb, splitter=RandomSplitter(0.1)
    ).dataloaders(path, path=path, bs=8, seq_len=20)
    dls_lm.show_batch(max_n=2)
    learn = language_model_learner(dls_lm, AWD_LSTM, drop_mult=0.3, metrics=[accuracy, Perplexity()],
                                   pretrained=False).to_fp16()
    learn.fit_one_cycle(1, 2e-2)
    learn.save("1epoch")
    learn = learn.load("1epoch")
    learn.unfreeze()
    learn.fit_one_cycle(1, 2e-3)
    learn.save_encoder("finetuned")
    preds = [learn.predict("I liked this movie because", 10, temperature=0.75) for _ in range(2)]
    assert all(len(p.split()) > 6 for p in preds)

    dls_clas = DataBlock(
        blocks=(TextBlock.from_folder(path, vocab=dls_lm.vocab), CategoryBlock), get_y=parent_label,
        get_items=get_imdb, splitter=GrandparentSplitter(valid_name="test"),
    ).dataloaders(path, path=path, bs=16, seq_len=20)
    learn = text_classifier_learner(dls_clas, AWD_LSTM, drop_mult=0.5, metrics=accuracy).to_fp16()
    learn = learn.load_encoder("finetuned")
    learn.fit_one_cycle(1, 2e-2)
    learn.freeze_to(-2)
    learn.fit_one_cycle(1, slice(1e-2 / (2.6**4), 1e-2))
    learn.freeze_to(-3)
    learn.fit_one_cycle(1, slice(5e-3 / (2.6**4), 5e-3))
    learn.unfreeze()
    learn.fit_one_cycle(2, slice(1e-3 / (2.6**4), 1e-3))
    loss, acc = learn.validate()
    assert loss > 0 and 0 <= acc <= 1


def test_several_labels_a_text():
    df = pd.read_csv("reviews.csv")
    df["tags"] = df["label"] + np.where(df["text"].str.len() > df["text"].str.len().median(), ";long", "")
    dls = TextDataLoaders.from_df(df, text_col="text", label_col="tags", label_delim=";", valid_col="is_valid")
    learn = text_classifier_learner(dls, AWD_LSTM, metrics=[partial(accuracy_multi, thresh=0.5), F1ScoreMulti()],
                                    pretrained=False)
    learn.fit_one_cycle(1, 1e-2)
    decided, chosen, probs = learn.predict("What a long and wonderful film.")
    assert set(decided) <= {"long", "neg", "pos"} and probs.shape == chosen.shape == (3,)


def test_a_number_a_text():
    df = pd.read_csv("reviews.csv")
    df["stars"] = np.where(df["label"] == "pos", 4.0, 1.0)
    dls = TextDataLoaders.from_df(df, text_col="text", label_col="stars", y_block=RegressionBlock, valid_col="is_valid")
    learn = text_classifier_learner(dls, AWD_LSTM, y_range=(0, 5.5), loss_func=MSELossFlat(), metrics=[mae, R2Score()],
                                    pretrained=False)
    learn.fit_one_cycle(1, 1e-2)
    preds, targs = learn.get_preds()
    assert len(preds) == len(targs) == 30 and (0 < preds).all() and (preds < 5.5).all()


def test_a_table_with_a_block_and_readers():
    df = pd.read_csv("reviews.csv")
    imdb_clas = DataBlock(blocks=(TextBlock.from_df("text", seq_len=20), CategoryBlock), get_x=ColReader("text"),
                          get_y=ColReader("label"), splitter=ColSplitter())
    imdb_clas.summary(df)
    dls = imdb_clas.dataloaders(df, bs=16)
    xb = dls.one_batch()[0]
    assert xb.shape[0] == 16 and len(dls.valid_ds) == 30


def test_subword_pieces():
    df = pd.read_csv("reviews.csv")
    tok = SentencePieceTokenizer(lang="en", max_vocab_sz=120)
    dls = TextDataLoaders.from_df(df, text_col="text", is_lm=True, tok_tfm=tok, valid_pct=0.1, bs=8, seq_len=20)
    learn = language_model_learner(dls, AWD_LSTM, metrics=[accuracy, Perplexity()], pretrained=False)
    learn.fit_one_cycle(1, 1e-2)
    assert learn.validate()[2] < len(dls.vocab)


def test_a_callback_of_ones_own():
    class StopAtLoss(Callback):
        order = 55

        def __init__(self, loss):
            self.loss_to_reach = loss

        def before_fit(self):
            self.seen = []

        def after_batch(self):
            if self.training:
                self.seen.append(self.loss.item())

        def after_epoch(self):
            if self.recorder.values[-1][0] < self.loss_to_reach:
                raise CancelFitException()

    df = pd.read_csv("reviews.csv")
    dls = TextDataLoaders.from_df(df, text_col="text", label_col="label", valid_col="is_valid")
    learn = text_classifier_learner(dls, AWD_LSTM, metrics=accuracy, cbs=StopAtLoss(9), pretrained=False)
    learn.fit(5)
    assert len(learn.recorder.values) == 1 and len(learn.stop_at_loss.seen) == len(dls.train)


def test_the_rate_finder_and_slices():
    df = pd.read_csv("reviews.csv")
    dls = TextDataLoaders.from_df(df, text_col="text", label_col="label", valid_col="is_valid", bs=8)
    learn = text_classifier_learner(dls, AWD_LSTM, metrics=accuracy, pretrained=False)
    lrs = learn.lr_find(suggest_funcs=(minimum, steep, valley, slide))
    learn.fit_one_cycle(1, slice(lrs.valley / 10, lrs.valley))
    assert lrs._fields == ("minimum", "steep", "valley", "slide") and learn.opt.hypers[0]["lr"] < lrs.valley


def test_saving_exporting_and_loading():
    df = pd.read_csv("reviews.csv")
    dls = TextDataLoaders.from_df(df, text_col="text", label_col="label", valid_col="is_valid")
    learn = text_classifier_learner(dls, AWD_LSTM, metrics=accuracy, pretrained=False, cbs=[
        SaveModelCallback(monitor="accuracy"), EarlyStoppingCallback(monitor="valid_loss", patience=3), CSVLogger()])
    learn.fit_one_cycle(2, 1e-2)
    learn.export("export.pkl")
    inference = load_learner("export.pkl")
    test_dl = inference.dls.test_dl(df["text"][:7])
    preds, _ = inference.get_preds(dl=test_dl)
    again = load_learner("export.pkl").predict(df["text"][0])
    assert preds.shape == (7, 2) and torch.allclose(preds[0], again[2], atol=1e-5)


def test_looking_inside():
    df = pd.read_csv("reviews.csv")
    dls = TextDataLoaders.from_df(df, text_col="text", label_col="label", valid_col="is_valid")
    learn = text_classifier_learner(dls, AWD_LSTM, metrics=[accuracy, F1Score(average="macro")], pretrained=False)
    learn.fit_one_cycle(1, 1e-2)
    interp = ClassificationInterpretation.from_learner(learn)
    interp.plot_confusion_matrix(figsize=(4, 4), dpi=60)
    interp.plot_top_losses(3)
    interp.print_classification_report()
    assert interp.confusion_matrix().sum() == 30 and interp.top_losses(3)[0].shape == (3,)
    assert all(n >= 1 for _, _, n in interp.most_confused(min_val=1))
