"""Those who register themselves: kept with a lease, never in a stack's name, also by a new controller."""

from __future__ import annotations

from typing import Any

import pytest

from bayplan.directory import EXTERNAL, Entry, Standing
from bayplan.directory.registrar import Registration, Renewal
from bayplan.errors import ProblemKind
from controller import listings
from controller.decide import outsiders
from controller.events import DeregisterAsked, OverrideAsked, RegisterAsked, RenewAsked, Reply
from tests.unit.controller.world import World, service, stack

DB = Registration(id="db-1", service="db", address="10.1.0.9", port=5432, ttl_ms=10_000)


def register(world: World, registration: Registration = DB, **fields: Any) -> Reply:
    asked = Registration(**{**as_fields(registration), **fields})
    return as_reply(world.ask(RegisterAsked(ticket="", registration=asked, by="node")))


def renew(world: World, **fields: Any) -> Reply:
    said = Renewal(**{"service": "db", "id": "db-1", **fields})
    return as_reply(world.ask(RenewAsked(ticket="", renewal=said)))


def as_fields(registration: Registration) -> dict[str, Any]:
    return {name: getattr(registration, name) for name in registration.__struct_fields__}


def as_reply(found: Any) -> Reply:
    assert isinstance(found, Reply)
    return found


def shown(world: World, name: str = "db", in_stack: str = EXTERNAL) -> tuple[Entry, ...]:
    listing = listings.listing(world.state, in_stack, name)
    return listing.entries if listing else ()


def revision(world: World) -> int:
    return listings.revision(world.state, EXTERNAL, "db")


def test_who_registered_is_found_until_its_lease_is_over() -> None:
    world = World()
    assert register(world).problem is None
    assert [(each.id, each.address, each.port, each.given) for each in shown(world)] == [
        ("db-1", "10.1.0.9", 5432, True)
    ]
    world.pass_time(9_000)
    assert shown(world)
    world.pass_time(1_100)
    assert shown(world) == ()
    assert world.state.outsiders == {}


def test_a_renewal_prolongs_the_lease_and_tells_how_it_is() -> None:
    world = World()
    register(world)
    first = revision(world)
    world.pass_time(9_000)
    assert renew(world).problem is None
    assert revision(world) == first
    world.pass_time(9_000)
    renew(world, standing=Standing.UNHEALTHY, reason="refused", output="connection refused")
    (entry,) = shown(world)
    assert (entry.given, entry.reason, entry.output) == (False, "refused", "connection refused")
    assert revision(world) > first


def test_after_its_lease_it_is_told_to_register_again() -> None:
    world = World()
    register(world)
    world.pass_time(11_000)
    problem = renew(world).problem
    assert problem is not None
    assert (problem.kind, problem.hint) == (ProblemKind.NOT_FOUND, "register it again")


def test_deregistered_it_is_gone_at_once_and_twice_is_no_error() -> None:
    world = World()
    register(world)
    for _ in range(2):
        gone = DeregisterAsked(ticket="", stack=EXTERNAL, service="db", id="db-1")
        assert as_reply(world.ask(gone)).problem is None
        assert shown(world) == ()


def test_a_restarted_controller_still_knows_it_and_gives_it_a_whole_lease() -> None:
    world = World()
    register(world)
    renew(world, standing=Standing.UNHEALTHY, reason="refused")
    before = revision(world)
    world.pass_time(9_000)
    again = world.restarted()
    again.pass_time(9_000)
    (entry,) = shown(again)
    assert entry.standing is Standing.UNHEALTHY
    assert revision(again) > before
    again.pass_time(1_100)
    assert shown(again) == ()


def test_nobody_registers_in_a_stack_that_is_deployed() -> None:
    world = World()
    world.node("n1")
    world.deploy(stack(service("web")))
    problem = register(world, stack="shop", service="web").problem
    assert problem is not None
    assert problem.kind is ProblemKind.REFUSED
    assert "shop is a stack that is deployed" in problem.summary


def test_a_stack_that_is_deployed_takes_its_name_back() -> None:
    world = World()
    world.node("n1")
    register(world, stack="shop", service="web")
    assert shown(world, "web", "shop")
    world.deploy(stack(service("web")))
    assert world.state.outsiders == {}
    assert "db-1" not in {each.id for each in shown(world, "web", "shop")}


def test_no_stack_is_deployed_in_the_name_of_those_outside() -> None:
    world = World()
    world.node("n1")
    reply = world.deploy(stack(service("web"), name=EXTERNAL))
    assert "stack name external is that of those who register themselves" in reply.problem.summary


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"id": ""}, "id has 1 to"),
        ({"id": "a b"}, "id has 1 to"),
        ({"service": "no/slash"}, "no service's name"),
        ({"stack": "Caps"}, "no stack's name"),
        ({"address": "db.example.org"}, "not the IPv4 or IPv6 address"),
        ({"address": "0.0.0.0"}, "not the IPv4 or IPv6 address"),
        ({"address": "224.0.0.1"}, "not the IPv4 or IPv6 address"),
        ({"port": 65_536}, "ports are 0 to"),
        ({"weight": -1}, "a weight is"),
        ({"ttl_ms": 999}, "a lease lasts"),
        ({"ttl_ms": 86_400_001}, "a lease lasts"),
        ({"tags": ("t",) * 65}, "64 tags"),
        ({"meta": {"m": "v" * 513}}, "entries of meta"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], said: str) -> None:
    problem = register(World(), **fields).problem
    assert problem is not None
    assert problem.kind is ProblemKind.INVALID
    assert said in problem.summary


def test_there_is_a_limit_to_the_instances_of_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outsiders, "OUTSIDERS_PER_SERVICE_MAX", 2)
    world = World()
    assert [register(world, id=name).problem is None for name in "abca"] == [True, True, False, True]


def test_an_operators_drain_wins_over_health_until_it_is_taken_back() -> None:
    world = World()
    register(world)
    word = {"ticket": "", "stack": EXTERNAL, "service": "db", "id": "db-1"}
    first = revision(world)
    assert as_reply(world.ask(OverrideAsked(**word, drain=True))).problem is None
    (entry,) = shown(world)
    assert (entry.standing, entry.reason) == (Standing.DRAINING, "an operator drains it")
    assert revision(world) > first
    renew(world)
    assert shown(world)[0].standing is Standing.DRAINING
    world.ask(OverrideAsked(**word, clear=True))
    assert shown(world)[0].given
    assert world.state.overrides == {}


def test_an_operators_weight_of_a_task_goes_with_it() -> None:
    world = World()
    world.node("n1")
    world.deploy(stack(service("web", labels={"bayplan.weight": "3", "bayplan.tag.canary": ""})))
    (entry,) = shown(world, "web", "shop")
    assert (entry.weight, entry.tags) == (3, ("canary",))
    word = OverrideAsked(ticket="", stack="shop", service="web", id=entry.id, weight=0)
    before = listings.revision(world.state, "shop", "web")
    assert as_reply(world.ask(word)).problem is None
    assert not shown(world, "web", "shop")[0].given
    assert listings.revision(world.state, "shop", "web") > before
    world.remove()
    world.pass_time(5_000)
    assert world.state.overrides == {}


def test_an_operators_word_outlives_the_controller() -> None:
    world = World()
    register(world)
    world.ask(OverrideAsked(ticket="", stack=EXTERNAL, service="db", id="db-1", weight=7))
    assert [each.weight for each in shown(world.restarted())] == [7]


def test_a_word_about_what_is_not_there_is_refused() -> None:
    word = OverrideAsked(ticket="", stack="shop", service="web", id="x", drain=True)
    problem = as_reply(World().ask(word)).problem
    assert problem is not None
    assert problem.kind is ProblemKind.NOT_FOUND
