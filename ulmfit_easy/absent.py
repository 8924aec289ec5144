"""Names of fastai that are not here, each with its replacement. Section 5 of docs/FASTAI.md shows the same tables."""

from ulmfit_easy.errors import AbsentError

# names of fastai's notebook import, and what to use instead
NAMES = (
    # fastai 1
    ("TextLMDataBunch TextClasDataBunch TextDataBunch TextList",
     "use `TextDataLoaders.from_df` or `from_folder`, with `is_lm=True` for a language model (fastai 1)"),
    ("DatasetType", "use `ds_idx=0` or `1` of `get_preds`, or `dl=dls.test_dl(texts)` (fastai 1)"),
    ("TextClassificationInterpretation", "use `explain(learn, text)` (fastai 1)"),
    ("ShowGraph", "use `ShowGraphCallback` (fastai 1)"),
    # text
    ("fix_html replace_rep replace_wrep spec_add_spaces rm_useless_spaces replace_all_caps replace_maj lowercase "
     "replace_space", "import it from `ulmfit_easy.text.rules`"),
    ("TokenizeWithRules tokenize1", "use `Tokenizer(tok, rules).pipe(texts)`, or `Tokenizer(tok, rules)(text)`"),
    ("load_tokenized_csv fn_counter_pkl fn_lengths_pkl",
     "read the files of `tokenize_csv` and `tokenize_folder` with pandas and json: counts and lengths are JSON"),
    ("decode_spec_tokens", "use `detokenize(tokens)`"),
    ("reverse_text", "use `ids.flip(0)`, or `backwards=True` for the data"),
    ("SortedDL pad_input pad_input_chunk pad_chunk Pad_Chunk Pad_Input",
     "use `ClassifierDataLoader`, which pads on the right and returns the lengths"),
    ("TensorText LMTensorText TensorCategory TensorMultiCategory CastToTensor TitledStr typedispatch",
     "use plain tensors and strings"),
    # data
    ("Datasets TfmdLists Transform ItemTransform DisplayedTransform Pipeline TransformBlock",
     "use `DataBlock`, and pass functions of a text as `rules=`"),
    ("Categorize MultiCategorize EncodedMultiCategorize OneHotEncode RegressionSetup",
     "use `CategoryBlock`, `MultiCategoryBlock` or `RegressionBlock`; `dls.decode(target)` gives the label"),
    ("FileGetter", "use `partial(get_files, extensions=[...], folders=[...])`"),
    ("DataLoader TfmdDL", "use `torch.utils.data.DataLoader`, or `TextDataLoaders` for texts"),
    ("WeightedDL PartialDL", "use `from_df(..., weights=...)`, or a table with fewer rows"),
    ("test_set", "use `dls.test_dl(items)`"),
    # models, learners, training
    ("SequentialRNN", "use `torch.nn.Sequential`: a model here holds no state, so it needs no `reset`"),
    ("LinearDecoder", "use `ulmfit_easy.models.softmax.LMDecoder`"),
    ("load_model_text load_ignore_keys clean_raw_keys save_model load_model",
     "use `learn.save`, `learn.load`, or `pretrained=` for the file of another library"),
    ("mk_metric AvgLoss AvgSmoothLoss",
     "pass a function as a metric; `Recorder` averages the losses with `ulmfit_easy.learner.metric.AvgLoss`"),
    ("ActivationType", 'use a string: `activation="softmax"`, "sigmoid", "binarysoftmax" or "no"'),
    ("LRFinder", "use `learn.lr_find()`"),
    ("layer_info module_summary num_features_model", "use `learn.summary()`"),
    ("set_bn_eval", "use the callback `BnFreeze`"),
    ("annealer sched_lin sched_cos sched_no sched_exp",
     "use `SchedLin`, `SchedCos`, `SchedNo` or `SchedExp`, which return a function of progress"),
    ("sgd_step momentum_step rms_prop_step step_stat adam_step radam_step qhadam_step larc_layer_lr larc_step "
     "lamb_step average_grad average_sqr_grad weight_decay l2_reg debias",
     "write a `torch.optim.Optimizer` and wrap it in `OptimWrapper`"),
    ("BaseLoss", "pass any function of (pred, target); its methods `activation` and `decodes` are used if it has them"),
    ("ModelToHalf NonNativeMixedPrecision AMPMode", "use `learn.to_fp16()` or `learn.to_bf16()`"),
    ("DistributedTrainer ParallelTrainer distrib_ctx",
     'train on one device: `softmax="sampled"` and bfloat16 make it faster, and `ulmfit pretrain` can resume'),
    ("push_to_hub_fastai from_pretrained_fastai",
     "upload the folder that `learn.export` writes with any client, fetch it, then `load_learner(folder)`"),
    ("MixUp CutMix ChannelsLast ImageDataLoaders vision_learner cnn_learner TabularDataLoaders tabular_learner "
     "CollabDataLoaders collab_learner",
     "use fastai: this library is for texts, though `Learner` trains any `nn.Module` on any loaders"),
    # of other packages, or of torch
    ("defaults", "pass arguments: there are no global settings; `SPECIAL_TOKENS` and `DEFAULT_RULES` are constants"),
    ("to_detach to_device to_cpu to_np tensor default_device", "use torch: `t.detach()`, `t.to(device)`, `t.numpy()`"),
    ("progress_bar master_bar", "use tqdm"),
    ("L first store_attr patch coll_repr GetAttr",
     "import it from `fastcore.all`, which is installed with the library"),
)

# classes (or their bases) -> attributes of theirs in fastai, and what to use instead
ATTRIBUTES = {
    "Learner": (
        ("data", "use `learn.dls` (fastai 1)"),
        ("crit", "use `learn.loss_func`"),
        ("callback_fns", "use `cbs=` (fastai 1)"),
        ("beam_search", "use `learn.predict(text, 40, beam=5)` (fastai 1)"),
        ("one_batch all_batches", "call `learn.model(*xb)`, or act on each batch in a callback"),
        ("loss_not_reduced", "use `learn.get_preds(with_loss=True)`"),
        ("ordered_cbs", "use `learn.show_training_loop()`"),
        ("logger", "use `learn.recorder.log`, the last row of the table, or `CSVLogger`"),
        ("model_resetter", "use `learn.hidden_state`"),
        ("to_detach", "use `tensor.detach()`"),
        ("parameters named_parameters modules state_dict", "ask the model: `learn.model.parameters()`"),
        ("tta", "use `learn.get_preds()`: test-time augmentation is for images"),
        ("to_parallel to_distributed distrib_ctx", "train on one device"),
        ("push_to_hub_fastai", "upload the folder that `learn.export` writes"),
        ("export", "use `ULMFiT`, or a learner of `text_classifier_learner`: only text learners can be exported"),
    ),
    "Recorder": (
        ("plot", "use `recorder.plot_lr_find()` (fastai 1)"),
        ("plot_losses", "use `recorder.plot_loss()` (fastai 1)"),
        ("plot_lr", "use `recorder.plot_sched()` (fastai 1)"),
        ("plot_metrics val_losses", "use `recorder.values`: training loss, validation loss and metrics of each epoch"),
    ),
    "Optimizer": (
        ("param_lists all_params", "use `opt.param_groups`, a list of lists of parameters"),
        ("state", "use `opt.opt.state`, the state of the optimizer of torch"),
        ("cbs", "write a `torch.optim.Optimizer` and wrap it in `OptimWrapper`"),
    ),
    "DataLoaders": (
        ("categorize numericalize", "use `dls.classes` and `dls.decode(target)`; `dls.text_vocab` has the words"),
        ("decode_batch", "use `dls.words(ids)` for a text and `dls.decode(target)` for a label"),
        ("counter", "use `tokenize_df(df, text_col)`, which returns the table and the counts"),
        ("loaders", "use `dls.train` and `dls.valid`"),
        ("num_workers", "use `dls.train`: its batches are made in this process"),
        ("items", "use `dls.train.rows`, the positions in the table"),
        ("train_dl valid_dl", "use `dls.train` and `dls.valid`"),
        ("show_results", "use `learn.show_results()`"),
        ("after_item before_batch after_batch", "pass functions of a text as `rules=`"),
        ("textify", "use `dls.words(ids)` (fastai 1)"),
    ),
    "EpochOrder": (
        ("items", "use `dl.rows`, the positions in the table"),
        ("n", "use `dl.n_rows`"),
        ("get_idxs", "use `dl.order`: positions in `dl.rows`, in the order of the batches"),
        ("decode_batch", "use `dls.words(ids)` for a text and `dls.decode(target)` for a label"),
        ("num_workers", "leave it out: batches are made in this process"),
        ("show_results", "use `learn.show_results(dl=dl)`"),
        ("after_item before_batch after_batch", "pass functions of a text as `rules=`"),
    ),
    "TextDataset": (("items vocab", "use the table, and `dls.vocab`"),),
    "Tokenizer": (
        ("decode", "use `tokenizer.detokenize(tokens)`"),
        ("process_text", "use `tokenizer(text)` (fastai 1)"),
        ("process_all", "use `tokenizer.pipe(texts)` (fastai 1)"),
    ),
    "Vocab": (
        ("o2i", "use `vocab.stoi`"),
        ("numericalize", "use `Numericalize(vocab)(tokens)` (fastai 1)"),
        ("textify", "use `dls.words(ids)` (fastai 1)"),
    ),
}

# the names that a star import brings too, because a bare name never asks the module; none is a name that other packages
# have, or an import before ours would be hidden
STAND_INS = ("TextLMDataBunch", "TextClasDataBunch", "TextDataBunch", "TextList", "DatasetType", "Datasets",
             "TfmdLists", "Categorize", "MultiCategorize", "OneHotEncode", "SortedDL", "pad_input", "TensorText",
             "decode_spec_tokens")


def by_name(rows) -> dict[str, str]:
    """Each single name of a table, and what to use instead of it."""
    return {name: instead for names, instead in rows for name in names.split()}


INSTEAD = by_name(NAMES)
_OF_CLASS = {cls: by_name(rows) for cls, rows in ATTRIBUTES.items()}


def gone(cls: str, name: str) -> property:
    """A property that raises E510 when it is read, and when it is set: training would not look at it."""
    def fail(*args):
        raise _absent(f"{cls}.{name}", _OF_CLASS[cls][name])

    return property(fail, fail)


def no_attribute(thing, name: str) -> AttributeError:
    """The error for an attribute that an object does not have: with a way out if fastai's object has it."""
    for cls in type(thing).__mro__:
        if instead := _OF_CLASS.get(cls.__name__, {}).get(name):
            return _absent(f"{type(thing).__name__}.{name}", instead)
    return AttributeError(f"{type(thing).__name__!r} object has no attribute {name!r}", name=name, obj=thing)


class TellsAbsent:
    """Names the replacement of an attribute that fastai's class has and this one has not."""

    __slots__ = ()

    def __getattr__(self, name):
        raise no_attribute(self, name)


class StandIn:
    """Stands for a name of fastai that is not here, and raises E510 as soon as it is used."""

    def __init__(self, name: str, instead: str | None = None):
        self.__dict__["_error"] = _absent(name, instead or INSTEAD[name])

    def _raise(self, *args, **kwargs):
        raise self.__dict__["_error"].with_traceback(None)

    __call__ = __iter__ = __len__ = __getitem__ = __setattr__ = __or__ = __mro_entries__ = _raise

    def __getattr__(self, name):
        if name.startswith("__"):  # inspect, copy and the like ask for these
            raise AttributeError(name)
        self._raise()

    def __repr__(self):
        return str(self.__dict__["_error"])


def _absent(name, instead):
    return AbsentError("E510", received=f"{name}, a name of fastai", expected="a name of this library", fix=instead)
