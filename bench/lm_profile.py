"""Where a training step of a language model spends its time: shares by torch.profiler, and the LSTM's GFLOP/s.

The same words, sizes and batches as `make bench-lm`, in this process:

    python bench/lm_profile.py --words words.txt --size 15k
"""

import argparse
import time
from collections import defaultdict
from pathlib import Path

import torch
from lm import BS, OURS, SEQ_LEN, SIZES, read_words, run_ours
from torch.profiler import ProfilerActivity, profile

WARMUP = 2  # batches
PARTS = {  # parts of the names of operators, the first that fits
    "LSTM, backward": ("mkldnn_rnn_layer_backward",),
    "LSTM, forward": ("mkldnn_rnn_layer",),
    "matrix products of the softmax": ("aten::mm", "aten::addmm", "aten::bmm"),
    "optimizer": ("adam",),
}
REST = "masks, the rest of the softmax, all else"


class Profiler:
    """Takes the place of the timer of `bench/lm.py`: profiles `steps` batches after the first few."""

    def __init__(self, steps: int):
        self.steps, self.seen, self.profile = steps, 0, profile(activities=[ProfilerActivity.CPU])

    def enough(self) -> bool:
        self.seen += 1
        if self.seen == WARMUP:
            self.profile.start()
            self.started = time.perf_counter()
        if over := self.seen == WARMUP + self.steps:
            self.seconds = (time.perf_counter() - self.started) / self.steps  # of one step
            self.profile.stop()
        return over


def shares(averages) -> dict[str, float]:
    """Of all self time, by part."""
    seconds = defaultdict(float)
    for op in averages:
        part = next((part for part, names in PARTS.items() if any(n in op.key.lower() for n in names)), REST)
        seconds[part] += op.self_cpu_time_total
    total = sum(seconds.values())
    return {part: seconds[part] / total for part in [*PARTS, REST]}


def lstm_flop(sizes) -> float:
    """Of a training step: 2 for each weight and token forwards, twice that backwards."""
    _, emb, hid, n_layers = sizes
    widths = [emb, *[hid] * (n_layers - 1), emb]
    return 6 * BS * SEQ_LEN * sum(4 * out * (inp + out) for inp, out in zip(widths, widths[1:], strict=False))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", type=Path, required=True, help="a text file, one document a line")
    parser.add_argument("--size", default="15k", choices=SIZES)
    parser.add_argument("--name", default="sampled softmax", choices=[n for n in OURS if OURS[n][0] == "AWD_LSTM"])
    parser.add_argument("--steps", type=int, default=8)
    args = parser.parse_args()
    sizes, profiler = SIZES[args.size], Profiler(args.steps)
    torch.manual_seed(0)
    docs, vocab = read_words(args.words, sizes[0])
    run_ours(docs, vocab, sizes, args.name, profiler)
    found = shares(profiler.profile.key_averages())
    print(f"{args.size}, {args.name}: {profiler.seconds:.2f} s a step, {BS * SEQ_LEN / profiler.seconds:,.0f} tokens/s")
    for part, share in found.items():
        print(f"{share:6.1%}  {part}")
    lstm = profiler.seconds * (found["LSTM, forward"] + found["LSTM, backward"])
    print(f"the LSTM: {lstm:.2f} s, {lstm_flop(sizes) / lstm / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
