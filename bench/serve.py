"""Load a server of `ulmfit serve` on this machine: python bench/serve.py MODEL [--seconds 60] [--connections 32].

It prints the throughput of single requests one after another, then that of many connections, the 50th and 99th
percentile of their seconds, the number of answers that differ from `predict`, and the memory of the server.
"""

import argparse
import asyncio
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np

from ulmfit_easy.apps.saved_model import SavedModel
from ulmfit_easy.apps.serve.answers import Served
from ulmfit_easy.data.toy import toy_reviews

PARSER = argparse.ArgumentParser(description=__doc__)
PARSER.add_argument("model", type=Path)
PARSER.add_argument("--seconds", type=float, default=10)
PARSER.add_argument("--connections", type=int, default=32)


async def load(client, texts, expected, n, seconds):
    """Let n connections ask for `seconds`. Return the seconds of each request, and the number of wrong answers."""
    took, wrong, end = [], 0, time.perf_counter() + seconds

    async def one(i):
        nonlocal wrong
        while (start := time.perf_counter()) < end:
            answer = await client.post("/predict", json={"text": texts[i % len(texts)]}, timeout=60)
            took.append(time.perf_counter() - start)
            wrong += answer.status_code != 200 or answer.json() != expected[i % len(texts)]
            i += n
    await asyncio.gather(*map(one, range(n)))
    return np.array(took), wrong


async def main(args):
    texts = list(toy_reviews(200, seed=7)["text"])
    model = SavedModel(args.model)
    expected = [Served("m", model).answers([text])[0] for text in texts]
    command = [sys.executable, "-m", "ulmfit_easy", "serve", str(args.model), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    address = re.search(r"http://\S+", server.stdout.readline())[0]
    async with httpx.AsyncClient(base_url=address, limits=httpx.Limits(max_connections=args.connections)) as client:
        rates = []
        for n in (1, args.connections):
            memory = re.search(r"resident_memory_bytes (\S+)", (await client.get("/metrics")).text)
            took, wrong = await load(client, texts, expected, n, args.seconds)
            rates.append(len(took) / args.seconds)
            print(f"{n:3} connections: {rates[-1]:7.1f} requests/s, p50 {np.median(took):.3f} s, p99 "
                  f"{np.quantile(took, 0.99):.3f} s, {wrong} wrong, memory {float(memory[1]) / 1e6:.0f} MB before")
        memory = re.search(r"resident_memory_bytes (\S+)", (await client.get("/metrics")).text)
    print(f"{rates[1] / rates[0]:.1f} times the throughput, memory {float(memory[1]) / 1e6:.0f} MB after")
    server.terminate()
    server.wait(60)


asyncio.run(main(PARSER.parse_args()))
