"""Load a server of `ulmfit serve` by requests one after another, then by many connections, and check each answer."""

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


async def megabytes(client):
    return float(re.search(r"^process_resident_memory_bytes (\S+)", (await client.get("/metrics")).text, re.M)[1]) / 1e6


async def main(args):
    texts, served = list(toy_reviews(200, seed=7)["text"]), Served("m", SavedModel(args.model))
    expected = [served.answers([text])[0] for text in texts]
    command = [sys.executable, "-m", "ulmfit_easy", "serve", str(args.model), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            address, rates = re.search(r"http://\S+", server.stdout.readline())[0], []
            async with httpx.AsyncClient(base_url=address) as client:  # up to 100 connections
                for n in (1, args.connections, args.connections):  # twice: does memory stay where it is?
                    before = await megabytes(client)
                    took, wrong = await load(client, texts, expected, n, args.seconds)
                    rates.append(len(took) / args.seconds)
                    p50, p99 = np.quantile(took, [0.5, 0.99])
                    print(f"{n:3} connections: {rates[-1]:.1f} requests/s, p50 {p50:.3f} s, p99 {p99:.3f} s, {wrong} "
                          f"wrong, memory {before:.0f} to {await megabytes(client):.0f} MB")
            print(f"{rates[1] / rates[0]:.1f} times the throughput")
        finally:
            server.terminate()


asyncio.run(main(PARSER.parse_args()))
