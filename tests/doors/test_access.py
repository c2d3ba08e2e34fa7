"""Every call of the contract, tried by every role over real listeners: default deny."""

from contextlib import AsyncExitStack
from importlib import import_module
from pkgutil import iter_modules

import grpc
import grpc.aio
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

import bayplan.v1
from bayplan.errors import ProblemKind
from bayplan.rpc_errors import problem_of
from bayplan.tls import (
    bootstrap_credentials,
    channel_options,
    open_channel,
    server_credentials,
    server_options,
)
from controller.doors.access import ACCESS, AccessInterceptor, Listener, Role
from tests.doors.tls_world import agent_keys, cluster, controller_keys, listening, nameless_keys

#: Who may call the services of ours; written here once more, so that a slip in the table shows.
CALLERS = {"AgentService": "agent", "JoinService": "stranger"}
DEFAULT_CALLER = "admin"
#: What agents may call as well: for the copy on their node, and for those who register there.
ALSO_AGENTS = {
    f"/bayplan.v1.RegistryService/{call}" for call in ("Deregister", "Follow", "Register", "Renew")
}


def contract():
    """All calls in the descriptors: (full method, requests are streamed, responses are streamed)."""
    for module in iter_modules(bayplan.v1.__path__):
        if module.name.endswith("_pb2"):
            file = import_module(f"bayplan.v1.{module.name}").DESCRIPTOR
            for service in file.services_by_name.values():
                for method in service.methods:
                    path = f"/{service.full_name}/{method.name}"
                    yield path, method.client_streaming, method.server_streaming


CONTRACT = sorted(contract())


async def _one(request, context):
    return b"done"


async def _many(request, context):
    yield b"done"
    yield b"done"


def handlers():
    """A handler for every call of the contract; each answers "done"."""
    makers = {
        (False, False): (grpc.unary_unary_rpc_method_handler, _one),
        (False, True): (grpc.unary_stream_rpc_method_handler, _many),
        (True, False): (grpc.stream_unary_rpc_method_handler, _one),
        (True, True): (grpc.stream_stream_rpc_method_handler, _many),
    }
    paths = [*CONTRACT, ("/bayplan.v1.NewService/NewCall", False, False)]
    for path, streams_in, streams_out in paths:
        _, service, method = path.split("/")
        make, function = makers[streams_in, streams_out]
        yield grpc.method_handlers_generic_handler(service, {method: make(function)})


def server_of(listener):
    server = grpc.aio.server(interceptors=[AccessInterceptor(listener)], options=server_options())
    server.add_generic_rpc_handlers(tuple(handlers()))
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    reflection.enable_server_reflection(["bayplan.v1.AgentService"], server)
    return server


@pytest.fixture
async def channels(tmp_path):
    """A channel for each role, over the listener through which the role comes."""
    ca = cluster()
    keys = controller_keys(ca)
    async with AsyncExitStack() as stack:
        main = await stack.enter_async_context(
            listening(server_of(Listener.MAIN), server_credentials(lambda: keys))
        )
        bootstrap = await stack.enter_async_context(
            listening(server_of(Listener.BOOTSTRAP), bootstrap_credentials(lambda: keys))
        )
        unix = server_of(Listener.UNIX)
        unix.add_insecure_port(f"unix:{tmp_path}/s")
        await unix.start()
        stack.push_async_callback(unix.stop, 0)
        opened = {
            Role.ADMIN: grpc.aio.insecure_channel(f"unix:{tmp_path}/s", channel_options()),
            Role.AGENT: open_channel(main, ca.ca_pem, agent_keys(ca)),
            Role.CONTROLLER: open_channel(main, ca.ca_pem, controller_keys(ca)),
            Role.STRANGER: open_channel(bootstrap, ca.ca_pem),
        }
        for channel in opened.values():
            await stack.enter_async_context(channel)
        yield opened


async def attempt(channel, path, streams_in, streams_out):
    """What a call answers: the number of "done", or the AioRpcError."""
    kind = f"{'stream' if streams_in else 'unary'}_{'stream' if streams_out else 'unary'}"
    call = getattr(channel, kind)(path)(iter([b""]) if streams_in else b"", timeout=10)
    try:
        if streams_out:
            return len([response async for response in call])
        return int(await call == b"done")
    except grpc.aio.AioRpcError as error:
        return error


def test_every_call_of_the_contract_has_a_row_and_every_row_a_call():
    ours = {path for path in ACCESS if path.startswith("/bayplan.")}
    assert ours == {path for path, _, _ in CONTRACT}


@pytest.mark.parametrize("role", Role)
async def test_a_role_may_make_its_own_calls_and_no_other(channels, role):
    allowed = []
    for path, streams_in, streams_out in CONTRACT:
        answer = await attempt(channels[role], path, streams_in, streams_out)
        if isinstance(answer, int):
            assert answer == (2 if streams_out else 1)
            allowed.append(path)
        else:
            assert answer.code() is grpc.StatusCode.PERMISSION_DENIED
            assert problem_of(answer).kind is ProblemKind.UNAUTHORISED
    services = {path: path.split("/")[1].rpartition(".")[2] for path, _, _ in CONTRACT}
    assert allowed == [
        path
        for path, service in services.items()
        if CALLERS.get(service, DEFAULT_CALLER) == role or (role == "agent" and path in ALSO_AGENTS)
    ]


@pytest.mark.parametrize("role", Role)
async def test_a_call_without_a_row_is_denied_to_everybody(channels, role):
    answer = await attempt(channels[role], "/bayplan.v1.NewService/NewCall", False, False)
    assert answer.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("role", Role)
async def test_a_call_that_does_not_exist_says_so(channels, role):
    answer = await attempt(channels[role], "/bayplan.v1.StackService/Fly", False, False)
    assert answer.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("role", Role)
async def test_everybody_may_ask_for_health(channels, role):
    stub = health_pb2_grpc.HealthStub(channels[role])
    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    async for change in stub.Watch(health_pb2.HealthCheckRequest(), timeout=10):
        assert change.status == health_pb2.HealthCheckResponse.SERVING
        break


@pytest.mark.parametrize("role", Role)
async def test_reflection_is_for_those_with_a_certificate_or_the_socket(channels, role):
    stub = reflection_pb2_grpc.ServerReflectionStub(channels[role])
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    try:
        answers = [answer async for answer in stub.ServerReflectionInfo(iter([ask]), timeout=10)]
    except grpc.aio.AioRpcError as error:
        assert role is Role.STRANGER
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    else:
        assert role is not Role.STRANGER
        assert answers[0].list_services_response.service[0].name == "bayplan.v1.AgentService"


async def test_a_certificate_of_the_ca_that_names_nobody_is_unauthenticated():
    ca = cluster()
    keys = controller_keys(ca)
    nameless = nameless_keys(ca, ExtendedKeyUsageOID.CLIENT_AUTH)
    main_port = listening(server_of(Listener.MAIN), server_credentials(lambda: keys))
    async with main_port as address, open_channel(address, ca.ca_pem, nameless) as channel:
        answer = await attempt(channel, "/bayplan.v1.AgentService/Session", True, True)
    assert answer.code() is grpc.StatusCode.UNAUTHENTICATED
    assert problem_of(answer).kind is ProblemKind.UNAUTHORISED
