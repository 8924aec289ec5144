"""What bfloat16 and 8 bits change: accuracy and speed of one saved model on labelled texts.

    ulmfit train train.csv --out my-model
    OMP_NUM_THREADS=1 python bench/precision.py test.csv --model my-model --docs 2000

The model answers in float32, in bfloat16, in 8 bits, as an ONNX graph, and as a graph with weights in 8 bits. Each row
has its accuracy, the labels and the largest probability that differ from float32, and CPU seconds from text to label.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from contenders import table

from ulmfit_easy.apps.saved_model import SavedModel
from ulmfit_easy.text.vocab import padded

BS = 32


def onnx(predictor, folder: Path, quantize: bool):
    """Return a function from texts to probabilities."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = predictor.to_onnx(folder / f"onnx-{quantize}", quantize=quantize) / "model.onnx"
    session = onnxruntime.InferenceSession(path, options)

    def probabilities(texts):
        docs = list(predictor.prepare.tokenizer.ids(texts))
        order = sorted(range(len(docs)), key=lambda i: -len(docs[i]))
        found = np.empty((len(docs), len(predictor.classes)))
        for start in range(0, len(docs), BS):
            part = order[start:start + BS]
            ids, lengths = padded([docs[i] for i in part], predictor.vocab.pad_id, predictor.prepare.backwards)
            found[part] = session.run(["probs"], {"ids": ids, "lengths": lengths})[0]
        return found

    return probabilities


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv", type=Path, help="a table with columns text and label")
    parser.add_argument("--model", type=Path, required=True, help="what `ulmfit train` wrote")
    parser.add_argument("--docs", type=int, default=2000)
    args = parser.parse_args()
    df = pd.read_csv(args.csv, keep_default_na=False).sample(frac=1, random_state=0).head(args.docs)
    texts, labels = df["text"].tolist(), df["label"].astype(str).to_numpy()
    predictor = replace(SavedModel(args.model).predictor, bs=BS)  # one model: a graph has no more

    def torch_in(precision):
        asked = replace(predictor, precision=precision)
        return lambda given: np.stack([p.probs.numpy() for p in asked.predict(given)])

    with TemporaryDirectory() as folder:
        ways = {"float32": torch_in("fp32"), "bfloat16": torch_in("bf16"), "int8": torch_in("int8"),
                "ONNX, float32": onnx(predictor, Path(folder), False),
                "ONNX, 8-bit weights": onnx(predictor, Path(folder), True)}
        rows, first = [], None
        for name, probabilities in ways.items():
            probabilities(texts[:2])  # not counted
            start = time.process_time()
            probs = probabilities(texts)
            rate = len(texts) / (time.process_time() - start)
            first = probs if first is None else first
            right = np.asarray(predictor.classes, str)[probs.argmax(1)] == labels
            rows.append([name, f"{100 * right.mean():.2f}", int((probs.argmax(1) != first.argmax(1)).sum()),
                         f"{np.abs(probs - first).max():.4f}", f"{rate:.1f}"])
            print(rows[-1], flush=True)
    print(table([f"{len(texts):,} texts", "accuracy, %", "labels changed", "largest difference",
                 "docs/s of CPU time"], rows))


if __name__ == "__main__":
    main()
