"""The notebook's door: `from ulmfit_easy.all import *` brings these names and no others."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ulmfit_easy.bundle.artefact import load_bundle, save_bundle
from ulmfit_easy.data.classify import ClassifierDataLoader
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.lm import LMDataLoader
from ulmfit_easy.data.loaders import TextDataLoaders
from ulmfit_easy.data.sources import get_text_files, parent_label, read_table
from ulmfit_easy.data.splits import (
    ColSplitter,
    GrandparentSplitter,
    IndexSplitter,
    RandomSplitter,
    StratifiedSplitter,
    TrainTestSplitter,
)
from ulmfit_easy.data.targets import CategoryBlock, MultiCategoryBlock, RegressionBlock
from ulmfit_easy.data.toy import toy_reviews, toy_texts
from ulmfit_easy.errors import FileError, LabelError, TextError, TrainingError, UlmfitError, VocabError
from ulmfit_easy.learner.callbacks.checkpoint import CheckpointCallback
from ulmfit_easy.learner.callbacks.progress import ProgressCallback
from ulmfit_easy.learner.callbacks.recorder import Recorder
from ulmfit_easy.learner.callbacks.rnn import HiddenState, ModelResetter, RNNCallback, RNNRegularizer
from ulmfit_easy.learner.callbacks.tracking import (
    CSVLogger,
    EarlyStoppingCallback,
    SaveModelCallback,
    TerminateOnNaNCallback,
    TrackerCallback,
)
from ulmfit_easy.learner.callbacks.training import (
    GradientAccumulation,
    GradientClip,
    MixedPrecision,
    TrainEvalCallback,
)
from ulmfit_easy.learner.events import (
    Callback,
    CancelBackwardException,
    CancelBatchException,
    CancelEpochException,
    CancelFitException,
    CancelStepException,
    CancelTrainException,
    CancelValidException,
)
from ulmfit_easy.learner.inference import Prediction
from ulmfit_easy.learner.learner import Learner, trainable_params
from ulmfit_easy.learner.losses import BCEWithLogitsLossFlat, CrossEntropyLossFlat, MSELossFlat
from ulmfit_easy.learner.lr_find import minimum, set_seed, steep, valley
from ulmfit_easy.learner.metrics import (
    AccumMetric,
    AvgMetric,
    F1Score,
    MatthewsCorrCoef,
    Metric,
    Perplexity,
    Precision,
    Recall,
    RocAuc,
    RocAucBinary,
    accuracy,
    accuracy_multi,
    error_rate,
    mae,
    mse,
)
from ulmfit_easy.learner.optim import SGD, Adam, Optimizer, discriminative
from ulmfit_easy.learner.pretrained import read_lm, shipped_lm
from ulmfit_easy.learner.schedule import ParamScheduler, combined_cos, slanted_triangular
from ulmfit_easy.learner.score import TextScore
from ulmfit_easy.learner.text import (
    LMLearner,
    TextLearner,
    language_model_learner,
    load_learner,
    text_classifier_learner,
)
from ulmfit_easy.models.awd_lstm import (
    AWD_LSTM,
    awd_lstm_clas_config,
    awd_lstm_clas_split,
    awd_lstm_lm_config,
    awd_lstm_lm_split,
)
from ulmfit_easy.models.awd_qrnn import AWD_QRNN, awd_qrnn_clas_config, awd_qrnn_lm_config
from ulmfit_easy.models.classifier import PoolingLinearClassifier, SentenceEncoder, get_text_classifier
from ulmfit_easy.models.generate import generate
from ulmfit_easy.models.language_model import LanguageModel, get_language_model
from ulmfit_easy.models.pooling import masked_concat_pool
from ulmfit_easy.models.remap import match_embeds
from ulmfit_easy.recipes.baseline import baseline
from ulmfit_easy.recipes.classify import classifier_data, finetune_classifier, new_classifier
from ulmfit_easy.recipes.ensemble import ensemble
from ulmfit_easy.recipes.estimator import ULMFiT
from ulmfit_easy.recipes.evaluate import LMScore, evaluate_lm
from ulmfit_easy.recipes.finetune import finetune_lm
from ulmfit_easy.recipes.general import pretrain_corpus
from ulmfit_easy.recipes.presets import PRESETS, Phase, Preset, get_preset
from ulmfit_easy.recipes.pretrain import lm_data, new_lm, pretrain_lm
from ulmfit_easy.text.corpus import Corpus
from ulmfit_easy.text.rules import DEFAULT_POST_RULES, DEFAULT_RULES
from ulmfit_easy.text.special import SPECIAL_TOKENS
from ulmfit_easy.text.subword import SentencePieceTokenizer, SubwordTokenizer
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vocab import Numericalize, Vocab, detokenize, make_vocab
from ulmfit_easy.text.words import BaseTokenizer, SpacyTokenizer, WordTokenizer
from ulmfit_easy.viz import show_table

__all__ = [name for name in dir() if not name.startswith("_")]
