"""`ulmfit serve`: a server of trained models, with a page to try them in."""

import argparse
import errno
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ulmfit_easy.apps.command import Command
from ulmfit_easy.errors import ArgumentError, some
from ulmfit_easy.terminal import say

if TYPE_CHECKING:
    from ulmfit_easy.apps.serve.app import Limits

TOKEN = "ULMFIT_EASY_TOKEN"
HERE = ("127.0.0.1", "localhost", "::1")


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.extras import optional_package

    uvicorn = optional_package("uvicorn", "fastapi", "prometheus_client")
    from ulmfit_easy.apps.saved_model import SavedModel
    from ulmfit_easy.apps.serve.answers import Served
    from ulmfit_easy.apps.serve.app import make_app
    from ulmfit_easy.cleanup import no_warnings
    from ulmfit_easy.user_code import warn_user

    limits, names = _limits(args), [folder.resolve().name for folder in args.models]
    if len({*names}) < len(names):
        raise ArgumentError("E602", received=f"several models named {some(names)}", expected="a name of its own for "
                            "each folder", fix="rename a folder")
    token = os.environ.get(TOKEN) if args.token is None else args.token
    if token is not None and not (token.isascii() and token.isprintable() and token.strip()):
        raise ArgumentError("E602", received="a token that is empty or has other characters",
                            expected="letters and digits", fix="make one with `openssl rand -hex 16`")
    with listening(args.host, args.port) as sock:  # first, because loading takes seconds
        models = [Served(name, SavedModel(folder)) for name, folder in zip(names, args.models, strict=True)]
        with no_warnings():
            for each in models:  # so that no request waits for what the first answer imports
                each.answers([each.text(dict.fromkeys(each.fields, "a"))])
        app = make_app(models, limits, token)
        if token is None and args.host not in HERE:
            warn_user(f"everybody who reaches {args.host} may ask: set {TOKEN}, or pass token=")
        host, port = sock.getsockname()[:2]
        say(f"{some(names)} at http://{f'[{host}]' if ':' in host else host}:{port} (Ctrl-C stops the server)",
            None if args.quiet else sys.stdout)
        settings = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, lifespan="off",
                                  limit_concurrency=1000, timeout_graceful_shutdown=int(limits.seconds) + 1)
        with no_warnings():  # of texts in rows of a batch, which nobody has seen
            uvicorn.Server(settings).run(sockets=[sock])


def _limits(args: argparse.Namespace) -> "Limits":
    from ulmfit_easy.apps.serve.app import Limits
    from ulmfit_easy.schema import checked, number, whole

    found = checked({"max_chars": whole(), "max_texts": whole(), "max_waiting": whole(), "timeout": number(0.1, 3600),
                     "port": whole(0, 65535)}, max_chars=args.max_chars, max_texts=args.max_texts,
                    max_waiting=args.max_waiting, timeout=args.timeout, port=args.port)
    return Limits(found["max_chars"], found["max_texts"], found["max_waiting"], found["timeout"])


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens at a port, 0 for any free one. E602 if another program has it."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as e:
        if isinstance(e, socket.gaierror) or e.errno == errno.EADDRNOTAVAIL:
            raise ArgumentError("E602", received=f"host={host}", expected="an address of this machine",
                                fix="leave out host= for 127.0.0.1") from e
        raise ArgumentError("E602", received=f"port={port} at {host}: {os.strerror(e.errno or 0)}", expected="a port "
                            "that is free and allowed", fix="pass another port, such as port=8080; pass port=0 for "
                            "any that is free") from e


COMMAND = Command(
    "serve", "answer over HTTP, with a page to try a model in", run,
    ("serve my-model", "serve my-model other-model --port 9000"),
    {"models": {"nargs": "+", "type": Path, "metavar": "DIR", "help": "what `ulmfit train` wrote, or `learn.export` in "
                "Python; requests name it by its folder, and the first one answers those that name none"},
     "--host": {"default": "127.0.0.1", "metavar": "ADDRESS", "help": "address to listen at; 0.0.0.0 lets other "
                "machines ask"},
     "--port": {"type": int, "default": 8000, "metavar": "N", "help": "0 takes any that is free (default: 8000)"},
     "--token": {"metavar": "WORD", "help": f"what a request must have in its header `Authorization: Bearer WORD`; "
                 f"the environment variable {TOKEN} sets it too, and shows it to nobody (default: none)"},
     "--max-chars": {"type": int, "default": 50_000, "metavar": "N", "help": "characters of a request, or status 413 "
                     "(default: 50000)"},
     "--max-texts": {"type": int, "default": 256, "metavar": "N", "help": "texts of a request, or status 422 "
                     "(default: 256)"},
     "--max-waiting": {"type": int, "default": 1024, "metavar": "N", "help": "texts that wait for a model, or status "
                       "429 (default: 1024)"},
     "--timeout": {"type": float, "default": 30, "metavar": "S", "help": "seconds until an answer, or status 503 "
                   "(default: 30)"}},
    more="Texts of requests that come within 5 ms are read together. /docs of the server tells its paths.",
    also=("server", "api", "deploy", "http"), order=5)
