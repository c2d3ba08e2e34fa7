"""Certificates, joining and renewing over real TLS connections on loopback."""

import asyncio
import socket
import ssl

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from agent import identity
from agent.join import PENDING_KEY_FILE, join
from bayplan.errors import ProblemError, ProblemKind
from bayplan.tls import (
    KeyPair,
    bootstrap_credentials,
    open_channel,
    server_credentials,
    server_options,
)
from bayplan.token import JoinRole
from bayplan.v1 import join_pb2_grpc
from tests.doors.tls_world import (
    DAY_MS,
    JoinDoor,
    agent_keys,
    cluster,
    controller_keys,
    join_port,
    listening,
    main_port,
    member,
    nameless_keys,
    wall_ms,
    who,
)


async def refused(awaitable):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    return caught.value.details()


async def problem_of(awaitable):
    with pytest.raises(ProblemError) as caught:
        await awaitable
    return caught.value.problem


def joining(token, address, data_dir, name="host1", deadline_s=20.0):
    return join(token, address, name, {"zone": "a"}, "", data_dir, deadline_s)


def files(folder):
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


# --- who is let in ---


async def test_the_main_port_knows_an_agent_by_its_certificate():
    ca = cluster()
    keys = controller_keys(ca)
    async with main_port(lambda: keys) as address:
        answer = await who(open_channel(address, ca.ca_pem, agent_keys(ca, "n7")))
        assert answer == "Identity(role=<PeerRole.AGENT: 'agent'>, id='n7', cluster='c1')"
        answer = await who(open_channel(address, ca.ca_pem, controller_keys(ca)))
        assert answer == "Identity(role=<PeerRole.CONTROLLER: 'controller'>, id='k1', cluster='c1')"


async def test_a_client_without_a_certificate_stays_outside():
    ca = cluster()
    keys = controller_keys(ca)
    async with main_port(lambda: keys) as address:
        await refused(who(open_channel(address, ca.ca_pem)))


async def test_a_client_with_an_expired_certificate_stays_outside():
    ca = cluster()
    keys = controller_keys(ca)
    async with main_port(lambda: keys) as address:
        expired = agent_keys(ca, issued_ms=wall_ms() - 8 * DAY_MS)
        await refused(who(open_channel(address, ca.ca_pem, expired)))


async def test_another_ca_of_the_same_name_is_believed_by_neither_side():
    ours, twin = cluster("c1"), cluster("c1")
    assert ours.certificate.subject == twin.certificate.subject
    keys = controller_keys(ours)
    async with main_port(lambda: keys) as address:
        await refused(who(open_channel(address, ours.ca_pem, agent_keys(twin))))
        await refused(who(open_channel(address, twin.ca_pem, agent_keys(ours))))


async def test_an_agents_certificate_does_not_make_a_controller():
    ca = cluster()
    stolen = agent_keys(ca)
    async with main_port(lambda: stolen) as address:
        await refused(who(open_channel(address, ca.ca_pem, agent_keys(ca, "victim"))))


async def test_a_certificate_for_clients_does_not_make_a_server_whatever_its_name():
    ca = cluster()
    for usage, let_in in ((ExtendedKeyUsageOID.CLIENT_AUTH, False), (ExtendedKeyUsageOID.SERVER_AUTH, True)):
        keys = nameless_keys(ca, usage)
        async with main_port(lambda keys=keys: keys) as address:
            call = who(open_channel(address, ca.ca_pem, agent_keys(ca)))
            if let_in:
                assert "agent" in await call
            else:
                await refused(call)


# --- rotation ---


async def shown_serial(address):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    host, port = address.split(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return x509.load_der_x509_certificate(der).serial_number


async def test_a_renewed_certificate_is_shown_to_new_connections_while_old_ones_go_on():
    ca = cluster()
    keys = [controller_keys(ca), controller_keys(ca)]
    serials = [x509.load_pem_x509_certificate(pair.certificate_pem).serial_number for pair in keys]
    current = keys[0]
    async with main_port(lambda: current) as address, open_channel(address, ca.ca_pem, agent_keys(ca)) as old:
        call = old.unary_unary("/bayplan.v1.Test/Who")
        await call(b"", timeout=10)
        assert await shown_serial(address) == serials[0]
        current = keys[1]
        assert await shown_serial(address) == serials[1]
        assert b"n1" in await call(b"", timeout=10)


async def test_a_second_server_cannot_take_a_port_that_is_in_use():
    ca = cluster()
    keys = controller_keys(ca)
    async with main_port(lambda: keys) as address:
        second = grpc.aio.server(options=server_options())
        with pytest.raises(RuntimeError, match="bind"):
            second.add_secure_port(address, server_credentials(lambda: keys))


# --- joining ---


async def test_a_host_joins_with_a_token_and_is_then_known_on_the_main_port(tmp_path):
    door = JoinDoor(cluster())
    keys = controller_keys(door.authority)
    async with join_port(door) as address, main_port(lambda: keys) as main:
        joined = await joining(door.new_token(), address, tmp_path / "agent")
        assert joined.membership.bootstrap_address == address
        assert identity.load(tmp_path / "agent") == joined
        assert "id='n1'" in await who(open_channel(main, joined.keys.ca_pem, joined.keys))
    assert files(tmp_path / "agent") == {"node.json", "node.pem", "ca.pem"}
    assert (tmp_path / "agent" / "node.pem").stat().st_mode & 0o777 == 0o600


async def test_a_man_in_the_middle_with_his_own_ca_sees_no_token(tmp_path):
    true, false = JoinDoor(cluster()), JoinDoor(cluster())
    async with join_port(false) as address:
        problem = await problem_of(joining(true.new_token(), address, tmp_path / "agent"))
    assert problem.kind is ProblemKind.UNAUTHORISED
    assert "not of the cluster" in problem.summary
    assert false.tokens_seen == []
    assert files(tmp_path / "agent") == set()


async def test_a_man_in_the_middle_who_shows_the_true_ca_sees_no_token(tmp_path):
    true, other = JoinDoor(cluster()), cluster()
    false = JoinDoor(other, bundle_pem=other.ca_pem + true.authority.ca_pem)
    async with join_port(false) as address:
        problem = await problem_of(joining(true.new_token(), address, tmp_path / "agent"))
    assert problem.kind is ProblemKind.UNAUTHORISED
    assert "cannot trust" in problem.summary
    assert false.tokens_seen == []
    assert files(tmp_path / "agent") == set()


async def test_an_agent_of_the_cluster_cannot_play_its_join_port(tmp_path):
    door = JoinDoor(cluster())
    stolen = agent_keys(door.authority)
    server = grpc.aio.server()
    join_pb2_grpc.add_JoinServiceServicer_to_server(door, server)
    async with listening(server, bootstrap_credentials(lambda: stolen)) as address:
        assert (await problem_of(joining(door.new_token(), address, tmp_path / "agent"))).exit_code == 4
    assert door.tokens_seen == []


async def test_a_used_token_is_refused_in_the_controllers_words_and_leaves_nothing(tmp_path):
    door = JoinDoor(cluster())
    token = door.new_token()
    async with join_port(door) as address:
        await joining(token, address, tmp_path / "a")
        problem = await problem_of(joining(token, address, tmp_path / "b"))
    assert (problem.kind, problem.summary) == (
        ProblemKind.UNAUTHORISED,
        "this token is unknown, used or expired",
    )
    assert files(tmp_path / "b") == set()


async def test_a_join_whose_answer_was_lost_becomes_the_same_node_when_repeated(tmp_path):
    door = JoinDoor(cluster())
    token = door.new_token()
    async with join_port(door) as address:
        door.stuck.clear()
        problem = await problem_of(joining(token, address, tmp_path / "agent", deadline_s=1.0))
        assert problem.kind is ProblemKind.TIMEOUT
        assert list(door.nodes.values()) == ["n1"]
        assert files(tmp_path / "agent") == {PENDING_KEY_FILE}
        door.stuck.set()
        assert (await joining(token, address, tmp_path / "agent")).membership.node_id == "n1"
    assert files(tmp_path / "agent") == {"node.json", "node.pem", "ca.pem"}


async def test_joining_again_keeps_the_node_and_takes_the_new_name(tmp_path):
    door = JoinDoor(cluster())
    async with join_port(door) as address:
        await joining(door.new_token(), address, tmp_path)
        await joining(door.new_token(), address, tmp_path, name="renamed")
    membership = identity.load(tmp_path).membership
    assert (membership.node_id, membership.name) == ("n1", "renamed")


async def test_a_host_of_one_cluster_does_not_join_another(tmp_path):
    one, two = JoinDoor(cluster("one")), JoinDoor(cluster("two"))
    async with join_port(one) as first, join_port(two) as second:
        before = await joining(one.new_token(), first, tmp_path)
        problem = await problem_of(joining(two.new_token(), second, tmp_path))
    assert problem.kind is ProblemKind.REFUSED
    assert "another cluster" in problem.summary
    assert two.tokens_seen == []
    assert identity.load(tmp_path) == before


async def test_a_malformed_token_or_address_is_refused_before_anything_is_sent(tmp_path):
    door = JoinDoor(cluster())
    token = door.new_token()
    for bad_token, address in [
        ("BPL1-nonsense", "127.0.0.1:1"),
        (token[:-1], "127.0.0.1:1"),
        (door.new_token(JoinRole.CONTROLLER), "127.0.0.1:1"),
        (token, "127.0.0.1"),
        (token, ":7401"),
        (token, "h1:70000"),
    ]:
        problem = await problem_of(joining(bad_token, address, tmp_path / "agent"))
        assert (problem.kind, problem.exit_code) == (ProblemKind.INVALID, 125)
    assert files(tmp_path) == set()


async def test_a_controller_that_is_not_there_is_unreachable(tmp_path, unused_tcp_port):
    token = JoinDoor(cluster()).new_token()
    for host in ("127.0.0.1", "[::1]", "no-such-host.invalid"):
        problem = await problem_of(joining(token, f"{host}:{unused_tcp_port}", tmp_path / "agent"))
        assert (problem.kind, problem.exit_code) == (ProblemKind.UNREACHABLE, 4)
        assert host in problem.summary
    assert files(tmp_path) == set()


async def test_the_main_port_taken_for_the_join_port_is_told_apart(tmp_path):
    door = JoinDoor(cluster())
    keys = controller_keys(door.authority)
    async with main_port(lambda: keys) as address:
        problem = await problem_of(joining(door.new_token(), address, tmp_path / "agent"))
    assert problem.kind is ProblemKind.UNREACHABLE
    assert "is this its join address" in problem.hint


async def test_a_web_proxy_in_the_environment_is_not_for_us(tmp_path, monkeypatch, unused_tcp_port):
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_tcp_port}")
    door = JoinDoor(cluster())
    async with join_port(door) as address:
        assert (await joining(door.new_token(), address, tmp_path)).membership.node_id == "n1"


async def test_a_server_that_speaks_no_tls_is_unreachable(tmp_path):
    async def talk(reader, writer):
        writer.write(b"220 mail.example\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        problem = await problem_of(joining(JoinDoor(cluster()).new_token(), address, tmp_path / "agent"))
    assert problem.kind is ProblemKind.UNREACHABLE


async def test_a_server_that_accepts_and_says_nothing_is_unreachable(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        problem = await problem_of(joining(JoinDoor(cluster()).new_token(), address, tmp_path / "agent"))
    assert (problem.kind, problem.details) == (ProblemKind.UNREACHABLE, ("no answer within 5 s",))


async def test_a_data_folder_that_cannot_be_written_is_found_before_the_token_is_spent(tmp_path):
    door = JoinDoor(cluster())
    (tmp_path / "agent").write_text("a file, not a folder")
    async with join_port(door) as address:
        problem = await problem_of(joining(door.new_token(), address, tmp_path / "agent"))
    assert (problem.kind, problem.place) == (ProblemKind.REFUSED, str(tmp_path / "agent"))
    assert door.tokens_seen == []


# --- renewing ---


async def test_an_expired_certificate_is_renewed_with_its_old_key(tmp_path):
    door = JoinDoor(cluster())
    keys = controller_keys(door.authority)
    async with join_port(door) as address, main_port(lambda: keys) as main:
        old = member(door.authority, address, agent_keys(door.authority, "n1", wall_ms() - 30 * DAY_MS))
        assert old.expires_ms < wall_ms()
        renewed = await identity.renew(old, tmp_path)
        assert "id='n1'" in await who(open_channel(main, renewed.keys.ca_pem, renewed.keys))
    assert renewed.keys.key_pem != old.keys.key_pem
    assert wall_ms() < renewed.renewal_due_ms < renewed.expires_ms
    assert identity.load(tmp_path) == renewed


async def test_a_renewal_that_is_refused_or_unanswered_leaves_the_old_identity(tmp_path, unused_tcp_port):
    door, twin = JoinDoor(cluster()), cluster()
    identity.save(member(door.authority, "127.0.0.1:1", agent_keys(door.authority)), tmp_path)
    before = identity.load(tmp_path)
    async with join_port(door) as address:
        foreign = agent_keys(twin)
        keys = KeyPair(foreign.certificate_pem, foreign.key_pem, door.authority.ca_pem)
        stranger = member(door.authority, address, keys)
        assert (await problem_of(identity.renew(stranger, tmp_path))).kind is ProblemKind.UNAUTHORISED
    nobody = member(door.authority, f"127.0.0.1:{unused_tcp_port}", before.keys)
    assert (await problem_of(identity.renew(nobody, tmp_path))).kind is ProblemKind.UNREACHABLE
    assert identity.load(tmp_path) == before
