"""Writes signatures.json: what a text user calls in fastai 2.8.12, and the parameters that each thing declares.

What is handed on through `**kwargs` is counted where it ends, at the learner or the callback that declares it.

Run it in an environment that has fastai (see ../goldens/README.md): `python make_signatures.py`.
"""

import inspect
import json
from importlib.metadata import version
from pathlib import Path

import fastai.text.all as fastai
from fastai.text.learner import LMLearner

# by the tables of the library's documentation: text, data, models, text learners, learner, callbacks, optimizers,
# losses and metrics, interpretation, inference
NAMES = """
fix_html replace_rep replace_wrep spec_add_spaces rm_useless_spaces replace_all_caps replace_maj lowercase replace_space
BaseTokenizer SpacyTokenizer WordTokenizer SentencePieceTokenizer SubwordTokenizer Tokenizer parallel_tokenize
tokenize_texts tokenize_df tokenize_csv tokenize_folder tokenize_files
make_vocab Numericalize TextBlock TextBlock.from_df TextBlock.from_folder
DataBlock DataBlock.dataloaders DataBlock.summary CategoryBlock MultiCategoryBlock RegressionBlock
RandomSplitter GrandparentSplitter ColSplitter TrainTestSplitter IndexSplitter FuncSplitter FileSplitter MaskSplitter
EndSplitter RandomSubsetSplitter ColReader ItemGetter AttrGetter RegexLabeller parent_label get_text_files
TextDataLoaders.from_df TextDataLoaders.from_csv TextDataLoaders.from_folder DataLoaders.test_dl
untar_data
AWD_LSTM awd_lstm_lm_split awd_lstm_clas_split WeightDropout EmbeddingDropout RNNDropout LinearDecoder SentenceEncoder
PoolingLinearClassifier get_language_model get_text_classifier match_embeds
language_model_learner text_classifier_learner TextLearner TextLearner.save_encoder TextLearner.load_encoder
TextLearner.load_pretrained LMLearner.predict LMLearner.get_preds load_learner
Learner Learner.fit Learner.fit_one_cycle Learner.fit_flat_cos Learner.fit_sgdr Learner.fine_tune Learner.lr_find
Learner.freeze Learner.freeze_to Learner.unfreeze Learner.validate Learner.get_preds Learner.predict
Learner.show_results Learner.summary Learner.save Learner.load Learner.export Learner.no_bar Learner.no_logging
Learner.added_cbs Learner.removed_cbs Learner.validation_context Learner.show_training_loop Learner.to_fp16
Learner.to_bf16 Learner.to_fp32 set_seed no_random
Callback TrainEvalCallback Recorder Recorder.plot_loss Recorder.plot_sched Recorder.plot_lr_find ProgressCallback
ModelResetter RNNCallback RNNRegularizer ParamScheduler TerminateOnNaNCallback SaveModelCallback ReduceLROnPlateau
EarlyStoppingCallback GradientAccumulation GradientClip ShortEpochCallback BnFreeze MixedPrecision CSVLogger
ShowGraphCallback GatherPredsCallback FetchPredsCallback MCDropoutCallback
SchedLin SchedCos SchedExp SchedPoly SchedNo combine_scheds combined_cos
Optimizer Adam SGD RMSProp RAdam QHAdam Larc Lamb Lookahead ranger OptimWrapper
CrossEntropyLossFlat BCEWithLogitsLossFlat MSELossFlat L1LossFlat LabelSmoothingCrossEntropy
LabelSmoothingCrossEntropyFlat FocalLossFlat
accuracy error_rate top_k_accuracy Perplexity accuracy_multi F1Score FBeta Precision Recall RocAuc RocAucBinary
MatthewsCorrCoef CohenKappa BalancedAccuracy HammingLoss Jaccard APScoreBinary BrierScore F1ScoreMulti FBetaMulti
PrecisionMulti RecallMulti RocAucMulti MatthewsCorrCoefMulti HammingLossMulti JaccardMulti APScoreMulti BrierScoreMulti
mse rmse mae msle exp_rmspe R2Score ExplainedVariance PearsonCorrCoef SpearmanCorrCoef CorpusBLEUMetric
AccumMetric AvgMetric ValueMetric LossMetric skm_to_fastai optim_metric
Interpretation Interpretation.from_learner Interpretation.top_losses Interpretation.plot_top_losses
Interpretation.show_results ClassificationInterpretation ClassificationInterpretation.confusion_matrix
ClassificationInterpretation.plot_confusion_matrix ClassificationInterpretation.most_confused
ClassificationInterpretation.print_classification_report
""".split()
ELSEWHERE = {"LMLearner": LMLearner}


def find(name: str):
    """What fastai calls by a name."""
    first, *rest = name.split(".")
    found = ELSEWHERE.get(first) or getattr(fastai, first)
    for part in rest:
        found = getattr(found, part)
    return found


def parameters(thing) -> list[str]:
    """The names of the parameters that a function, or a class's `__init__`, declares itself."""
    function = inspect.unwrap(thing.__init__ if inspect.isclass(thing) else thing)
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    declared = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if code else ()
    return [name for name in declared if name not in ("self", "cls")]


if __name__ == "__main__":
    found = {"made_with": {"fastai": version("fastai")}, "names": {name: parameters(find(name)) for name in NAMES}}
    text = json.dumps(found).replace('], "', '],\n"')
    Path(__file__).with_name("signatures.json").write_text(text + "\n", encoding="utf-8")
