"""What names mean, in answers that dnspython can read."""

from __future__ import annotations

import pytest

from bayplan.directory import Origin, Port, Standing
from bayplan.dns import Zone
from tests.memory_source import MemorySource
from tests.unit.dns.world import World, entry, ports, shop, udp_port


def test_a_service_is_its_ready_instances() -> None:
    world = shop()
    assert world.found("web.shop") == ["10.0.0.1", "10.0.0.2"]
    assert world.found("tasks.web.shop") == ["10.0.0.1", "10.0.0.2"]


def test_all_names_those_that_are_not_ready_too() -> None:
    assert shop().found("all.web.shop") == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


def test_a_slot_has_a_name_also_before_it_is_ready() -> None:
    world = shop()
    assert world.found("1.web.shop") == ["10.0.0.1"]
    assert world.found("3.web.shop") == ["10.0.0.3"]
    assert world.rcode("4.web.shop") == "NXDOMAIN"


def test_while_a_slot_changes_over_its_name_is_the_ready_one() -> None:
    world = World()
    world.put("web.shop", entry(1, "10.0.0.1"), entry(1, "10.0.0.9", id="new", standing=Standing.STARTING))
    assert world.found("1.web.shop") == ["10.0.0.1"]


def test_a_version_has_a_name() -> None:
    world = shop()
    assert world.found("v1.web.shop") == ["10.0.0.1"]
    assert world.found("v2.web.shop") == ["10.0.0.2"], "those of it that are ready"
    assert world.rcode("v3.web.shop") == "NXDOMAIN"


def test_no_such_record_is_not_no_such_name() -> None:
    world = shop()
    for name in ("web.shop", "shop", "node", "addr", "_tcp.shop", "_tcp.web.shop", "db.shop", ""):
        assert world.rcode(name or f"{world.apex}.", "AAAA") == "NODATA", name
    for name in (
        "wbe.shop",
        "web.shpo",
        "x.web.shop",
        "0.web.shop",
        "web.shop.shop",
        "_web._icmp.shop",
        "v.web.shop",
    ):
        assert world.rcode(name) == "NXDOMAIN", name


def test_names_know_no_case() -> None:
    world = World()
    world.put("Web.shop", entry(1))
    assert world.found("wEB.Shop") == ["10.0.0.1"]
    world.source.drop("shop", "Web")
    assert world.rcode("web.shop") == "NXDOMAIN"


def test_a_service_with_dots_has_names_above_it() -> None:
    world = World()
    world.put("a.b.shop", entry(1))
    assert world.found("a.b.shop") == ["10.0.0.1"]
    assert world.found("1.a.b.shop") == ["10.0.0.1"]
    assert world.rcode("b.shop") == "NODATA"
    world.source.drop("shop", "a.b")
    assert world.rcode("b.shop") == "NXDOMAIN"


def test_a_dot_within_a_label_makes_no_other_name() -> None:
    assert shop().rcode(r"web\.shop") == "NXDOMAIN"


def test_srv_tells_ports_and_where_they_are() -> None:
    world = shop()
    answer = world.ask("web.shop", "SRV")
    assert sorted(str(record) for record in answer.answer[0]) == [
        "0 1 8001 0a000001.addr.bayplan.",
        "0 1 8002 0a000002.addr.bayplan.",
    ]
    glue = {str(rrset.name): str(rrset[0]) for rrset in answer.additional}
    assert glue == {"0a000001.addr.bayplan.": "10.0.0.1", "0a000002.addr.bayplan.": "10.0.0.2"}
    assert world.found("0a000002.addr") == ["10.0.0.2"], "the target by itself"
    assert world.found("_web._tcp.shop", "SRV") == world.found("web.shop", "SRV")
    assert world.rcode("_web._udp.shop", "SRV") == "NODATA"
    assert world.rcode("_web._tcp.shop", "A") == "NODATA"


def test_srv_by_the_names_of_ports() -> None:
    world = World()
    several = (*ports(http=8081, admin=9001), udp_port(5353))
    world.put("web.shop", entry(1, ports=several, port=8081))
    assert world.found("_admin._tcp.web.shop", "SRV") == ["0 1 9001 0a000001.addr.bayplan."]
    assert world.found("_web._udp.shop", "SRV") == ["0 1 5353 0a000001.addr.bayplan."]
    assert world.rcode("_ftp._tcp.web.shop", "SRV") == "NXDOMAIN"


def test_srv_tells_the_port_of_its_targets_family() -> None:
    world = World()
    both = Port(target=80, published=32_773, host_ip="::"), Port(target=80, published=32_774)
    world.put("web.shop", entry(1, ports=both, port=32_774))
    assert world.found("_web._tcp.shop", "SRV") == ["0 1 32774 0a000001.addr.bayplan."]


def test_suspect_instances_come_last() -> None:
    world = World()
    world.put("web.shop", entry(1, standing=Standing.SUSPECT), entry(2), entry(3))
    for _ in range(6):
        assert world.in_order("web.shop")[-1] == "10.0.0.1"
    assert world.found("web.shop", "SRV")[-1].startswith("1 1 8001 "), "by its priority"


def test_local_names_what_runs_on_this_node_first() -> None:
    world = World()
    world.put("web.shop", entry(1, node="n2"), entry(2, node="n1"), entry(3, node="n3"))
    for _ in range(6):
        assert world.in_order("local.web.shop")[0] == "10.0.0.2"
    assert world.found("local.web.shop", "SRV")[0] == "0 1 8002 0a000002.addr.bayplan."


def test_the_order_turns_so_that_each_comes_first() -> None:
    world = World()
    world.put("web.shop", *[entry(slot) for slot in range(1, 6)])
    assert {world.in_order("web.shop")[0] for _ in range(5)} == {f"10.0.0.{slot}" for slot in range(1, 6)}


def test_what_nobody_is_sent_to_has_no_address() -> None:
    world = World()
    world.put("web.shop", entry(1, weight=0), entry(2, standing=Standing.DRAINING))
    assert world.rcode("web.shop") == "NODATA"
    assert len(world.found("all.web.shop")) == 2


def test_addresses_of_both_kinds_stand_apart() -> None:
    world = World()
    world.put("web.shop", entry(1), entry(2, "2001:db8::2"))
    assert world.found("web.shop") == ["10.0.0.1"]
    assert world.found("web.shop", "AAAA") == ["2001:db8::2"]
    target = world.found("web.shop", "SRV")[1].split()[3]
    assert world.found(target, "AAAA") == ["2001:db8::2"]


def test_an_address_that_several_share_is_named_once() -> None:
    world = World()
    world.put("web.shop", entry(1, "10.0.0.1"), entry(2, "10.0.0.1"))
    assert world.found("web.shop") == ["10.0.0.1"]
    assert len(world.found("web.shop", "SRV")) == 2


def test_texts_describe_instances() -> None:
    world = World()
    world.put("web.shop", entry(1, tags=("blue", "eu")))
    (text,) = world.found("web.shop", "TXT")
    for fact in ('"id=i1"', '"node=n1"', '"port=8001"', '"slot=1"', '"version=1"', '"tags=blue,eu"'):
        assert fact in text


def test_addresses_lead_back_to_names() -> None:
    world = shop()
    world.nodes(n2="10.0.0.2", n7="10.0.0.7")
    assert world.found("1.0.0.10.in-addr.arpa.", "PTR") == ["1.web.shop.bayplan."]
    assert world.found("2.0.0.10.in-addr.arpa.", "PTR") == ["n2.node.bayplan."]
    assert world.found("n7.node") == ["10.0.0.7"]
    assert world.rcode("n8.node") == "NXDOMAIN"


def test_an_address_in_a_network_leads_back_too() -> None:
    world = World()
    world.put("web.shop", entry(1, networks={"back": "2001:DB8::1"}))
    name = f"1.{'0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa."
    assert world.found(name, "PTR") == ["1.web.shop.bayplan."]


def test_the_zone_tells_who_serves_it_and_how_old_it_is() -> None:
    world = shop()
    world.source.state = Origin(node="n1", age_ms=4_000)
    assert world.found("bayplan.", "NS") == ["ns.bayplan."]
    assert world.found("ns") == ["127.0.0.1"]
    assert world.found("bayplan.", "SOA")[0].startswith("ns.bayplan. hostmaster.bayplan. 2 ")
    assert world.found("bayplan.", "TXT") == ['"node=n1" "index=2" "age_ms=4000" "whole=yes"']
    world.source.state = Origin(node="n1", age_ms=9_000)
    assert '"age_ms=9000"' in world.found("bayplan.", "TXT")[0]


def test_a_directory_that_is_not_whole_denies_nothing() -> None:
    world = shop()
    for _ in range(2):
        assert world.rcode("nobody.shop") == "NXDOMAIN" and world.rcode("db.shop") == "NODATA"
        world.source.state = Origin(whole=False)
        assert world.rcode("nobody.shop") == "SERVFAIL" and world.rcode("db.shop") == "SERVFAIL"
        assert world.found("web.shop") == ["10.0.0.1", "10.0.0.2"]
        assert world.rcode("web.shop", "AAAA") == "NODATA"
        world.source.state = Origin()


def test_another_apex_may_have_several_labels() -> None:
    world = World(apex="svc.example.org")
    world.put("web.shop", entry(1))
    assert world.found("web.shop") == ["10.0.0.1"]
    assert world.found("web.shop", "SRV") == ["0 1 8001 0a000001.addr.svc.example.org."]
    with pytest.raises(ValueError, match="label"):
        Zone(MemorySource(), "a..b")
