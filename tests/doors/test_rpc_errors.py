"""Problems over a real gRPC connection: attached, read back, or derived from the status."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest

from bayplan.errors import Problem, ProblemError, ProblemKind
from bayplan.rpc_errors import PROBLEM_KEY, abort_with, problem_error_of, problem_of
from bayplan.tls import channel_options

CALL = "/bayplan.v1.Test/Call"


@asynccontextmanager
async def calling(tmp_path, handler):
    """A call to a server with this one handler, over a unix socket."""
    server = grpc.aio.server()
    methods = {"Call": grpc.unary_unary_rpc_method_handler(handler)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bayplan.v1.Test", methods),))
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    # With our options the channel has connections of its own, and none to an earlier server on this path.
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s", options=channel_options()) as channel:
        yield channel.unary_unary(CALL)
    await server.stop(0)


async def failure(call, **options):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"", **options)
    return caught.value


async def failure_of(tmp_path, *problems):
    async def handler(request, context):
        await abort_with(context, ProblemError(*problems))

    async with calling(tmp_path, handler) as call:
        return await failure(call)


@pytest.mark.parametrize("kind", ProblemKind)
async def test_a_problem_of_every_kind_arrives_as_it_was_sent(tmp_path, kind):
    sent = Problem(kind=kind, summary="größer", details=("a", "b"), hint="h", why="w", place="f.yaml:3")
    error = await failure_of(tmp_path, sent)
    assert problem_of(error) == sent
    assert error.details() == "größer"
    assert error.code() not in (grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN)


async def test_several_problems_arrive_in_order(tmp_path):
    sent = tuple(Problem(kind=ProblemKind.INVALID, summary=f"line {i}") for i in range(5))
    assert problem_error_of(await failure_of(tmp_path, *sent)).problems == sent


@pytest.mark.parametrize("text", ["x" * 200, "x", "ü" * 200, "🚢" * 100])
async def test_too_many_problems_are_cut_and_still_arrive(tmp_path, text):
    sent = tuple(Problem(kind=ProblemKind.INVALID, summary=f"{text} {i}") for i in range(500))
    # Metadata that is too large is refused at random, so several times.
    for _ in range(5):
        error = await failure_of(tmp_path, *sent)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        received = problem_error_of(error).problems
        assert 5 <= len(received) < len(sent)
        assert received == sent[: len(received)]


async def test_a_problem_too_large_for_the_wire_keeps_its_summary(tmp_path):
    long = "🚢" * 5_000
    sent = Problem(kind=ProblemKind.REFUSED, summary=long, details=(long,), hint=long, why=long, place=long)
    for _ in range(5):
        error = await failure_of(tmp_path, sent)
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        cut = long[:250]
        assert problem_of(error) == Problem(
            kind=ProblemKind.REFUSED, summary=cut, hint=cut, why=cut, place=cut
        )


async def test_nobody_there_is_unreachable(tmp_path):
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/nobody") as channel:
        problem = problem_of(await failure(channel.unary_unary(CALL)), "the controller at h1:7400")
    assert (problem.kind, problem.exit_code) == (ProblemKind.UNREACHABLE, 4)
    assert problem.summary == "cannot reach the controller at h1:7400"
    assert "nobody" in problem.details[0]
    assert problem.hint


async def test_no_answer_in_time_is_a_timeout(tmp_path):
    async def handler(request, context):
        await asyncio.sleep(60)

    async with calling(tmp_path, handler) as call:
        assert problem_of(await failure(call, timeout=0.1)).kind is ProblemKind.TIMEOUT


async def test_a_handler_that_raises_or_is_missing_is_a_refusal(tmp_path):
    async def handler(request, context):
        raise KeyError("a bug")

    async with calling(tmp_path, handler) as call:
        assert problem_of(await failure(call)).kind is ProblemKind.REFUSED
    async with calling(tmp_path, handler), grpc.aio.insecure_channel(f"unix:{tmp_path}/s") as channel:
        problem = problem_of(await failure(channel.unary_unary("/bayplan.v1.Test/Other")))
    assert "another version" in problem.hint


async def test_an_attached_problem_that_cannot_be_read_falls_back_to_the_status(tmp_path):
    async def handler(request, context):
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "no", ((PROBLEM_KEY, b"\xff\xff"),))

    async with calling(tmp_path, handler) as call:
        assert problem_of(await failure(call)).kind is ProblemKind.UNAUTHORISED
