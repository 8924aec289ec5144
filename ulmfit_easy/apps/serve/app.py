"""The paths of the server, as a FastAPI app over models and their queues."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ulmfit_easy.apps.serve.answers import Served
from ulmfit_easy.apps.serve.batching import Batcher, Full
from ulmfit_easy.apps.serve.gate import Gate, Refused, late
from ulmfit_easy.apps.serve.metrics import Metrics
from ulmfit_easy.apps.serve.reference import reference
from ulmfit_easy.errors import ArgumentError, TrainingError, UlmfitError, counted, did_you_mean, fix_for, short, some

PAGE = Path(__file__).with_name("page.html")
ONLY_OURS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
             "connect-src 'self'; img-src data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"}
Text = str | dict[str, str]


@dataclass(frozen=True)
class Limits:
    """The limits of a request.

    Attributes:
        chars: of all texts of a request.
        texts: of a request.
        waiting: texts that may wait for a model.
        seconds: until a request is refused.
    """

    chars: int = 50_000
    texts: int = 256
    waiting: int = 1024
    seconds: float = 30.0

    @property
    def bytes(self) -> int:
        """Of a body: JSON may write a character in six."""
        return 6 * self.chars + 10_000


class OneText(BaseModel):
    """A text. For a model of several fields it is an object with them."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"text": "The soup was superb."}})
    text: Text


class Texts(BaseModel):
    """A text, or a list of texts. For a model of several fields each is an object with them."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"text": ["A fine film.", "Too long."]}})
    text: Text | list[Text]


class Options(BaseModel):
    """The options after the `?` of a path. Any other name is refused: a misspelled one would change nothing."""

    model_config = ConfigDict(extra="forbid")
    model: str | None = Field(None, description="name of the model (default: the first)")


class PredictOptions(Options):
    """The options of `/predict`."""

    top_k: int | None = Field(None, ge=1, description="the K likeliest classes (default: all)")


class ExplainOptions(Options):
    """The options of `/explain`."""

    label: str | None = Field(None, description="the class to explain (default: the likeliest)")


def make_app(models: Sequence[Served], limits: Limits = Limits(), token: str | None = None) -> Any:
    """Return the server as an ASGI app.

    Args:
        models: the first one answers requests that name none.
        token: that each request must have. None lets everybody ask.

    Raises: E507 without FastAPI or prometheus_client.
    """
    from fastapi import FastAPI, Query, Request
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import HTMLResponse, JSONResponse, Response
    from starlette.exceptions import HTTPException

    metrics, named = Metrics(), {served.name: served for served in models}
    ask = {name: Batcher(served.answers, served.model.predictor.bs, limits.waiting, partial(metrics.batch, name))
           for name, served in named.items()}
    why = {name: Batcher(served.explanations, 1, limits.waiting) for name, served in named.items()}
    app = FastAPI(title="ulmfit serve", description="Answers of trained models.", docs_url=None, redoc_url=None)
    refusals: dict[int | str, dict[str, Any]] = {
        401: {"description": "no token, or a wrong one"}, 404: {"description": "no model of this name"},
        413: {"description": "too many characters"}, 422: {"description": "a request of another form"},
        429: {"description": "too many texts wait"}, 500: {"description": "a fault of the server"},
        503: {"description": "no answer in time"}}

    def chosen(name: str | None) -> Served:
        if name is not None and name not in named:
            raise Refused(404, ArgumentError("E604", received=f"model={name}", expected=f"one of {some(named, 20)}",
                                             fix=did_you_mean(name, named, "choose one of these")))
        return models[0] if name is None else named[name]

    def read(served: Served, given: list[Text]) -> list:
        most = min(limits.texts, limits.waiting)  # a queue never has room for more
        if len(given) > most:
            raise Refused(422, ArgumentError("E602", received=counted(len(given), "text"),
                                             expected=f"at most {most:,} in a request", fix="send fewer"))
        texts = [served.text(each) for each in given]
        if sum(len(text) if isinstance(text, str) else sum(map(len, text)) for text in texts) > limits.chars:
            raise Refused(413, ArgumentError("E602", received="too many characters", expected=f"at most "
                                             f"{limits.chars:,} in a request", fix="send shorter texts, or fewer"))
        return texts

    async def answered(queue: Batcher, items: list) -> list:
        try:
            return await queue(items, limits.seconds)
        except Full:
            raise Refused(429, TrainingError("E511", received=f"{counted(len(items), 'text')} while others wait",
                                             expected=f"at most {limits.waiting:,} that wait",
                                             fix="ask again later")) from None
        except TimeoutError:
            raise late(limits.seconds) from None

    @app.post("/predict", responses=refusals)
    async def predict(body: Texts, options: Annotated[PredictOptions, Query()]) -> Any:
        """Answer for a text, or for each text of a list."""
        served, several = chosen(options.model), isinstance(body.text, list)
        texts = read(served, body.text if isinstance(body.text, list) else [body.text])
        found = await answered(ask[served.name], texts)
        if (top_k := options.top_k) is not None:
            if any("probs" not in each for each in found):
                raise ArgumentError("E603", received="top_k= for a model without classes of whole texts",
                                    expected="a classifier", fix="leave out top_k=")
            found = [{**each, "probs": dict(islice(each["probs"].items(), top_k))} for each in found]
        return JSONResponse(found if several else found[0])

    @app.post("/explain", responses=refusals)
    async def explain(body: OneText, options: Annotated[ExplainOptions, Query()]) -> Any:
        """Tell what each word adds to the answer for a text: above 0 it speaks for it."""
        served = chosen(options.model)
        (text,) = read(served, [body.text])
        (found,) = await answered(why[served.name], [(text, options.label)])
        return JSONResponse(found)

    @app.get("/models", responses={401: refusals[401]})
    async def about() -> Any:
        """List the models with their fields and classes."""
        return JSONResponse([served.about for served in models])

    @app.get("/health")
    async def health() -> Any:
        """Answer as soon as all models are loaded."""
        return JSONResponse({"status": "ok"})

    @app.get("/metrics", responses={401: refusals[401]})
    async def counters() -> Any:
        """Count requests, seconds and batches, in the text format of Prometheus."""
        waiting = {name: len(ask[name].waiting) + len(why[name].waiting) for name in named}
        return Response(metrics.text(waiting), media_type=metrics.content_type)

    @app.get("/", include_in_schema=False)
    async def page() -> Any:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"), headers=ONLY_OURS)

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Any:
        return HTMLResponse(reference(app.openapi(), str(request.base_url)), headers=ONLY_OURS)

    @app.exception_handler(Refused)
    async def refused(_: Any, e: Refused) -> Any:
        return JSONResponse(e.body, e.status, e.headers)

    @app.exception_handler(UlmfitError)
    async def of_the_library(_: Any, e: UlmfitError) -> Any:
        e.fix = fix_for(e.fix, {"model", "label", "top_k"})
        return await refused(_, Refused(422, e))

    @app.exception_handler(RequestValidationError)
    async def misread(_: Any, e: RequestValidationError) -> Any:
        where, what = [short(part) for part in e.errors()[0]["loc"][:2]], e.errors()[0].get("type")
        if what == "extra_forbidden" and where[0] == "query":
            error = ArgumentError("E604", received=f"{where[1]}=", expected="an option that /docs names",
                                  fix=did_you_mean(where[1], ["model", "top_k", "label"], f"leave out {where[1]}="))
        elif where[0] == "query":
            error = ArgumentError("E602", received=f"{where[1]}=, which cannot be that", expected="what /docs says",
                                  fix=f"leave out {where[1]}=")
        else:
            error = ArgumentError("E601", received="a body of another form", expected='JSON such as '
                                  '{"text": "The soup was superb."}, or a list of texts in its place',
                                  fix='give "text" a text or a list of texts, and send the header Content-Type: '
                                  'application/json')
        return await refused(_, Refused(422, error))

    @app.exception_handler(HTTPException)
    async def other(request: Request, e: HTTPException) -> Any:
        if e.status_code == 400:  # JSON that Python cannot read
            return await misread(request, RequestValidationError([{"loc": ("body",)}]))
        error = ArgumentError("E604", received=f"{request.method} {request.url.path}", expected="a path of /docs",
                              fix="ask POST /predict")
        return await refused(request, Refused(e.status_code, error))

    @app.exception_handler(Exception)
    async def failed(request: Request, _: Exception) -> Any:  # the server then logs it with its traceback
        return await refused(request, Refused(500, TrainingError(
            "E512", received="a request on which the server failed", expected="an answer", fix="look into the log of "
            "the server, and report its traceback")))

    return Gate(app, lambda e: JSONResponse(e.body, e.status, e.headers), metrics.request, token=token,
                max_bytes=limits.bytes, seconds=limits.seconds)
