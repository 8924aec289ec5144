"""`ulmfit serve`: answers equal to those of `predict`, limits with a clear refusal, tokens, and a port in use."""

import asyncio
import json
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.request import Request, urlopen

import numpy as np
import pytest
import torch
from interpret_toys import classifier, data, several_labels

from ulmfit_easy.apps.cli import main
from ulmfit_easy.apps.commands.serve import listening
from ulmfit_easy.apps.serve.answers import NOISE, Served
from ulmfit_easy.apps.serve.batching import Batcher, Full
from ulmfit_easy.apps.serve.gate import Gate
from ulmfit_easy.apps.word_by_word import word_by_word
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import ArgumentError, TrainingError

pytestmark = pytest.mark.filterwarnings("ignore:.*without a known word", "ignore:the numbers to predict")
TEXTS = [*toy_reviews(4, seed=3)["text"], "", "\N{SNOWMAN}", "수프가 훌륭했다."]


@pytest.fixture(scope="module")
def model():
    return classifier().predictor


class Noisy:
    """A model whose figures move a little with the number of texts that are read together."""

    def __init__(self, model):
        self.predictor, self.model = model, model

    def predict(self, texts):
        found = self.model.predict(texts)
        return [each._replace(probs=each.probs + (len(texts) > 1) * NOISE / 2).of(self.predictor.classes)
                for each in found]


def labels(df, **kind):
    return classifier(data(df, **kind)).predictor


KINDS = {"one class": lambda: classifier().predictor,
         "several": lambda: labels(several_labels(), label_delim=";"),
         "numbers": lambda: labels(toy_reviews(60, seed=0).assign(label=np.linspace(-3, 900, 60)),
                                   y_block="regression")}


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_does_not_depend_on_the_texts_that_are_read_with_it(kind):
    model = KINDS[kind]()
    served = Served("m", Noisy(model))
    alone = [served.answers([text])[0] for text in TEXTS]
    assert served.answers(TEXTS) == alone
    for text, answer in zip(TEXTS, alone, strict=True):
        found = model.predict(text)
        if kind == "numbers":
            assert answer == {"prediction": float(f"{found.label:.5g}")}
        else:
            assert answer["prediction"] == found.label
            assert answer["probs"] == {name: round(p, 4) for name, p in zip(found.classes, found.probs.tolist(),
                                                                            strict=True)}


def test_a_text_at_the_edge_of_a_figure_or_of_two_classes_is_read_again_alone(model):
    class Edge(Noisy):
        def predict(self, texts):
            asked.append(len(texts))
            return [each._replace(probs=torch.tensor(probs)) for each in self.model.predict(texts)]

    asked: list[int] = []
    for probs, n in (([0.3, 0.7], 1), ([0.3, 0.69995], 3), ([0.5, 0.5], 3), ([0.50004, 0.49996], 1)):
        asked.clear()
        Served("m", Edge(model)).answers(["a", "b"])
        assert len(asked) == n, probs


def test_waiting_texts_are_joined_and_one_that_fails_harms_no_other():
    def ask(items):
        sizes.append(len(items))
        if 13 in items:
            raise ValueError(13)
        return [-each for each in items]

    async def many():
        queue = Batcher(ask, 8, 100)
        found = await asyncio.gather(*(queue([i], 9) for i in range(20)), return_exceptions=True)
        assert isinstance(found.pop(13), ValueError) and found == [[-i] for i in range(20) if i != 13]

    sizes: list[int] = []
    asyncio.run(many())
    assert sizes == [8, 8, *[1] * 8, 4]


def test_a_full_queue_refuses_and_what_nobody_waits_for_is_not_asked():
    def ask(items):
        asked.extend(items)
        held.wait(9)
        return items

    async def many():
        queue = Batcher(ask, 1, 2)
        first = asyncio.create_task(queue(["slow"], 9))
        while not asked:
            await asyncio.sleep(0.001)
        with pytest.raises(TimeoutError):
            await queue(["late"], 0.01)
        with pytest.raises(Full):
            await queue(["a", "b", "c"], 9)
        held.set()
        assert await first == ["slow"] and await queue(["next"], 9) == ["next"]

    asked: list[str] = []
    held = threading.Event()
    asyncio.run(many())
    assert asked == ["slow", "next"]


def test_a_port_that_another_program_has_is_named_before_anything_is_loaded(capsys, tmp_path):
    pytest.importorskip("fastapi", reason="needs the packages of a server: pip install -e '.[serve]'")
    with listening("127.0.0.1", 0) as door:
        port = door.getsockname()[1]
        assert main(["serve", str(tmp_path), "--port", str(port)]) == 2
    assert f"[E602] Received --port {port} at 127.0.0.1: Address already in use" in capsys.readouterr().err
    with pytest.raises(ArgumentError, match="E602.*host=192.0.2.1.*of this machine"):
        listening("192.0.2.1", 0)


def test_without_its_packages_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    from ulmfit_easy.extras import optional_package

    with pytest.raises(TrainingError, match="E507.*pip install uvicorn fastapi prometheus_client"):
        optional_package("uvicorn", "fastapi", "prometheus_client")


@pytest.fixture(scope="module")
def ask(model):
    """A function that asks a server of two models: one, and pairs."""
    pytest.importorskip("fastapi", reason="needs the packages of a server: pip install -e '.[serve]'")
    httpx = pytest.importorskip("httpx")
    from ulmfit_easy.apps.serve.app import Limits, make_app

    pairs = labels(toy_reviews(60, seed=0).assign(other="so it is"), text_col=["text", "other"])
    app = make_app([Served("m", model), Served("pairs", pairs)], Limits(chars=3000, texts=50), token="geheim")

    def ask(path="/predict", method="POST", token="geheim", kind="application/json", **given):
        async def once():
            headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://s") as client:
                return await client.request(method, path, headers=headers, **given)
        return asyncio.run(once())
    return ask


def test_a_text_gets_an_answer_and_a_list_gets_a_list(ask, model):
    one = ask(json={"text": TEXTS[0]}).json()
    assert one["prediction"] == model.predict(TEXTS[0]).label
    assert ask(json={"text": TEXTS}).json() == [ask(json={"text": text}).json() for text in TEXTS]
    assert ask(json={"text": []}).json() == []
    (likeliest,) = ask("/predict?top_k=1", json={"text": TEXTS[0]}).json()["probs"].items()
    assert likeliest == (one["prediction"], one["probability"])
    pair = {"text": TEXTS[0], "other": "so it is"}
    assert ask("/predict?model=pairs", json={"text": [pair]}).json()[0]["probs"].keys() == {"neg", "pos"}


def test_explain_gives_the_scores_of_the_command(ask, model):
    found, expected = ask("/explain?label=neg", json={"text": TEXTS[0]}).json(), word_by_word(model, TEXTS[0], "neg")
    assert [each["word"] for each in found["words"]] == expected.tokens and found["label"] == "neg"
    assert [each["score"] for each in found["words"]] == [round(float(s), 4) for s in expected.scores]


@pytest.mark.parametrize(("status", "code", "given"), [
    (401, "E602", {"token": "other", "json": {"text": "a"}}), (401, "E602", {"path": "/metrics", "token": ""}),
    (404, "E604", {"path": "/predict?model=n", "json": {"text": "a"}}), (404, "E604", {"path": "/nothing"}),
    (405, "E604", {"method": "GET"}),
    (413, "E602", {"json": {"text": ["a" * 2000, "a" * 1001]}}), (413, "E602", {"content": b" " * 30_000}),
    (422, "E602", {"json": {"text": ["a"] * 51}}),
    (422, "E602", {"path": "/predict?top_k=0", "json": {"text": "a"}}),
    (422, "E604", {"path": "/predict?modle=pairs", "json": {"text": "a"}}),
    (422, "E601", {"content": b"{"}), (422, "E601", {"json": {"texts": "a"}}), (422, "E601", {"json": {"text": 1}}),
    (422, "E603", {"json": {"text": {"other": "a"}}}),
    (422, "E604", {"path": "/explain?label=x", "json": {"text": "a"}}),
    (422, "E104", {"path": "/explain", "json": {"text": " "}}),
], ids=lambda value: str(value) if not isinstance(value, dict) else "")
def test_a_refusal_has_a_status_a_code_and_a_way_out(ask, status, code, given):
    answer = ask(**given)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert all(answer.json()["error"].values())
    assert answer.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)


def test_a_busy_server_answers_429_and_a_slow_one_503(model):
    pytest.importorskip("fastapi", reason="needs the packages of a server: pip install -e '.[serve]'")
    httpx = pytest.importorskip("httpx")
    from ulmfit_easy.apps.serve.app import Limits, make_app

    class Held(Noisy):
        def predict(self, texts):
            held.wait(30)
            return self.model.predict(texts)

    async def many():
        app = make_app([Served("m", Held(replace(model, bs=1)))], Limits(waiting=3, seconds=0.5))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://s") as client:
            busy = await asyncio.gather(*(client.post("/predict", json={"text": "a"}) for _ in range(9)))
            held.set()
            after = await client.post("/predict", json={"text": "a"})
            many = await client.post("/predict", json={"text": ["a"] * 4})
        assert many.status_code == 422 and "at most 3" in many.text  # asking again would not help
        assert {each.json()["error"]["code"] for each in busy} == {"E511"}
        return [(each.status_code, "retry-after" in each.headers) for each in [*busy, after]]

    held = threading.Event()
    *busy, after = asyncio.run(many())
    assert {*busy} == {(429, True), (503, True)} and after == (200, False)


def test_a_fault_of_the_server_is_json_without_internals_and_is_logged(model):
    pytest.importorskip("fastapi", reason="needs the packages of a server: pip install -e '.[serve]'")
    httpx = pytest.importorskip("httpx")
    from ulmfit_easy.apps.serve.app import make_app

    class Broken(Noisy):
        def predict(self, texts):
            raise KeyError("a secret")

    async def ask(**kwargs):
        transport = httpx.ASGITransport(make_app([Served("m", Broken(model))]), **kwargs)
        async with httpx.AsyncClient(transport=transport, base_url="http://s") as client:
            return await client.post("/predict", json={"text": "a"})

    answer = asyncio.run(ask(raise_app_exceptions=False))
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "E512") and "secret" not in answer.text
    with pytest.raises(KeyError, match="a secret"):  # which uvicorn logs
        asyncio.run(ask())


@pytest.mark.parametrize(("messages", "status"), [
    ([{"body": b"12345", "more_body": True}, {"body": b"67890"}], 200),
    ([{"body": b"12345", "more_body": True}, {"body": b"678901"}], 413),
    ([{"body": b"12345", "more_body": True}], 503),
    ([{"body": b"12345", "more_body": True}, {"type": "http.disconnect"}], 499),
], ids=["whole", "too long, in parts", "unfinished", "broken off"])
def test_a_body_without_a_length_is_counted_as_it_comes_and_has_to_end(messages, status):
    async def receive():
        if not left:
            await asyncio.sleep(9)
        return {"type": "http.request", **left.pop(0)}

    async def app(scope, receive, send):
        assert (await receive())["body"] == b"1234567890"
        await send({"status": 200})

    def refuse(error):
        async def answer(scope, receive, send):
            await send({"status": error.status})
        return answer

    async def send(message):
        sent.append(message["status"])

    left, sent, counted = [*messages], [], []
    gate = Gate(app, refuse, lambda *request: counted.append(request[:2]), token=None, max_bytes=10, seconds=0.05)
    asyncio.run(gate({"type": "http", "path": "/predict", "headers": []}, receive, send))
    assert counted == [("/predict", status)] and sent == [status] * (status != 499)


def test_pages_and_counters_need_no_other_address(ask):
    assert ask("/health", "GET", token="").json() == {"status": "ok"}
    assert [each["fields"] for each in ask("/models", "GET").json()] == [["text"], ["text", "other"]]
    page, docs = ask("/", "GET", token="").text, ask("/docs", "GET", token="").text
    assert "//" not in page.replace("// ", "") and "default-src 'none'" in ask("/", "GET").headers[
        "content-security-policy"]
    api = ask("/openapi.json", "GET", token="")
    assert "POST /predict" in docs and "src=" not in docs and "/predict" in api.json()["paths"]
    assert "?model=" in docs and "?top_k=" in docs and "?label=" in docs and "options" not in docs
    assert "pairs" not in page + docs + api.text  # what needs no token names no model
    counted = ask("/metrics", "GET").text
    assert 'ulmfit_requests_total{path="/predict",status="200"}' in counted
    assert 'ulmfit_batch_texts_count{model="m"}' in counted


@pytest.mark.slow
def test_a_thousand_hostile_bodies_get_no_500(ask):
    draw = random.Random(0)
    good = [b'{"text": "The soup."}', b'{"text": ["a", "b"]}', '{"text": "수프"}'.encode(), b'{"text": {"text": "a"}}']
    odd = [b"[" * 5000, b'{"text":' * 2000, b"1" * 5000, b'{"text": "\\ud800"}', b'{"text": NaN}', b"null", b"",
           b'{"text": "\\u0000"}', b"\xff\xfe", b'{"text": [' + b'"",' * 3000 + b'""]}', b" " * 30_000,
           b'{"text": {"' + b"k" * 9000 + b'": ""}}', b'{"text": "a", "text": 1}', b"\xef\xbb\xbf{}"]
    paths = ["/predict", "/explain", "/predict?top_k=\ud7ff", "/predict?model=%00", "/explain?label=%ff"]
    seen = set()
    for i in range(1000):
        body = bytearray(draw.choice(good) if i % 3 else draw.choice(odd))
        for _ in range(draw.randrange(4)):
            if body:
                at = draw.randrange(len(body))
                body[at:at + draw.randrange(3)] = draw.randbytes(draw.randrange(4))
        path = draw.choice(paths)
        kind = draw.choice(["application/json"] * 4 + ["text/plain", "multipart/form-data; boundary=x", "x", ""])
        answer = ask(path, kind=kind, content=bytes(body))
        seen.add(answer.status_code)
        assert answer.status_code in (200, 404, 413, 422), (path, kind, bytes(body), answer.text)
    assert {200, 413, 422} <= seen


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process at once")
def test_a_server_that_is_stopped_answers_what_it_has_and_takes_no_more(model, tmp_path):
    pytest.importorskip("fastapi", reason="needs the packages of a server: pip install -e '.[serve]'")

    def ask(text):
        body = json.dumps({"text": [text] * 20}).encode()
        with urlopen(Request(f"{address}/predict", body, {"Content-Type": "application/json"}), timeout=100) as answer:
            return json.load(answer)

    learn = classifier()
    command = [sys.executable, "-m", "ulmfit_easy", "serve", learn.export(tmp_path / "m"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        address = re.search(r"http://\S+", process.stdout.readline())[0]
        with ThreadPoolExecutor(32) as threads:
            found = [threads.submit(ask, text) for text in TEXTS * 8]
            while not any(each.done() for each in found):
                time.sleep(0.01)
            asked = [each for each in found if each.running()]
            process.send_signal(signal.SIGTERM)
            for each in found:
                each.cancel()
        served = Served("m", learn.predictor)
        done = [i for i, each in enumerate(found) if each in asked and not each.exception()]
        assert len(done) > len(asked) / 2  # a connection that was made just then may be too late
        assert all(found[i].result() == served.answers([(TEXTS * 8)[i]]) * 20 for i in done)
        assert process.wait(30) == -signal.SIGTERM


def test_another_address_of_this_machine_can_be_asked_for():
    try:
        with listening("::1", 0) as door:
            assert door.family == socket.AF_INET6
    except ArgumentError:
        pytest.skip("no IPv6 here")
