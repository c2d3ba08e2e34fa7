"""Asks again and again who is there, as a program: over HTTP at an address, or over gRPC by its own resolver.

Prints a line of JSON whenever it differs from the one before: who has answered lately, how many questions
have failed since the first answer, and why the last one did. Arguments: the line's tag, `http` or `grpc`, and
what to ask.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Callable

import grpc

from tests.real.clients.who import METHOD

#: Who has not answered for so long is not there, in seconds: some ten questions to each of a few.
LATELY_S = 1.0
PACE_S = 0.02
TIMEOUT_S = 5.0


def over_http(address: str) -> Callable[[], str]:
    """The task that answers, by the demo image's page: `hello from web, task 6f1b2c`."""

    def ask() -> str:
        connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        words = text.split()
        if answer.status != 200 or not words:  # a server that is killed may have said 200 and no more
            raise OSError(f"{answer.status} {text[:100]}")
        return words[-1]

    return ask


def over_grpc(target: str) -> Callable[[], str]:
    call = grpc.insecure_channel(target).unary_unary(METHOD)

    def ask() -> str:
        try:
            return call(b"", timeout=TIMEOUT_S).decode()
        except grpc.RpcError as error:
            raise OSError(f"{error.code().name}: {error.details()}") from error

    return ask


def main() -> None:
    tag, how, what = sys.argv[1:]
    ask = {"http": over_http, "grpc": over_grpc}[how](what)
    answered: dict[str, float] = {}
    began, failed, why, before = False, 0, "", ""
    while True:
        try:
            answered[ask()] = time.monotonic()
            began = True
        except (OSError, http.client.HTTPException) as error:
            failed, why = failed + began, f"{type(error).__name__}: {error}"
        answered = {name: at for name, at in answered.items() if time.monotonic() - at < LATELY_S}
        line = json.dumps({"tag": tag, "seen": sorted(answered), "failed": failed, "why": why})
        if line != before:
            sys.stdout.write(f"{line}\n")  # in one piece: several programs share a log
            sys.stdout.flush()
            before = line
        time.sleep(PACE_S)


if __name__ == "__main__":
    main()
