"""Fine-tuning of a BERT through the Learner against a plain loop of transformers and torch: docs/s and peak memory.

    python bench/transformer.py --model minilm --threads 1

Both loops take the same batches in float32 with AdamW over all weights. They alternate in one process. The figure is
the median of the ratios of neighbours, in CPU seconds, which other programs on the machine change little. Peak memory
is that of a process with one of the two loops alone.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from statistics import median

import torch
from transformers import AutoModelForSequenceClassification
from transformers.utils import logging

from ulmfit_easy.all import DataLoaders, TextDataLoaders, set_seed, text_classifier_learner, toy_reviews
from ulmfit_easy.bundle.shipped import named_folder

BS, LR = 16, 2e-5


def batches_of(model: str, n: int) -> tuple[TextDataLoaders, list]:
    """Return loaders, and n batches of (ids, lengths, labels), of reviews with about 40 tokens each."""
    df = toy_reviews(BS * n + BS, seed=0)
    df["valid"] = [i >= BS * n for i in range(len(df))]
    dls = TextDataLoaders.from_df(df, text_col="text", label_col="label", valid_col="valid", pretrained=model, bs=BS,
                                  seed=0)
    return dls, list(dls.train)


def ours(model: str, dls: TextDataLoaders, batches: list):
    """Return a function that trains a classifier of the library for an epoch of these batches."""
    quiet = DataLoaders(batches, [], device="cpu", prepare=dls.prepare)
    learn = text_classifier_learner(quiet, model, precision="fp32", verbose=False)
    learn.unfreeze()
    return lambda: learn.fit(1, LR)


def plain(model: str, dls: TextDataLoaders, batches: list):
    """Return a function that trains as the guides of transformers show."""
    net = AutoModelForSequenceClassification.from_pretrained(named_folder(model), num_labels=2).train()
    opt = torch.optim.AdamW(net.parameters(), lr=LR, fused=True)

    def epoch():
        for ids, lengths, labels in batches:
            mask = (torch.arange(ids.shape[1]) < lengths.unsqueeze(1)).long()
            loss = net(input_ids=ids, attention_mask=mask, labels=labels).loss
            loss.backward()
            opt.step()
            opt.zero_grad()
            loss.item()

    return epoch


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=["ours", "plain"], help="run one loop, and print the peak memory in MiB")
    args = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    logging.disable_progress_bar()
    torch.set_num_threads(args.threads)
    set_seed(0)
    dls, batches = batches_of(args.model, args.batches)
    if args.only:
        {"ours": ours, "plain": plain}[args.only](args.model, dls, batches)()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        return
    loops = {loop.__name__: loop(args.model, dls, batches) for loop in (ours, plain)}
    seconds = {name: [] for name in loops}
    for i in range(args.repeats + 1):
        for name, epoch in loops.items():
            start = time.process_time()
            epoch()
            if i:  # the first is to warm up
                seconds[name].append(time.process_time() - start)
    docs = sum(len(batch[0]) for batch in batches)
    memory = {name: int(subprocess.run([sys.executable, *sys.argv, "--only", name], check=True, capture_output=True,
                                       text=True).stdout.split()[-1]) for name in loops}
    for name, found in seconds.items():
        print(f"{name:6} {docs / median(found):7.1f} docs/s of CPU time, peak memory {memory[name]:,} MiB")
    ratio = median(b / a for a, b in zip(*seconds.values(), strict=True))
    print(f"ours / plain: {ratio:.3f} of the speed, {memory['ours'] / memory['plain']:.3f} of the memory")


if __name__ == "__main__":
    main()
