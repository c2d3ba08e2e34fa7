"""Ports, names, images and constraints, apart from any file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayplan.compose.mounts import parse_mode, parse_target
from bayplan.compose.names import parse_constraint, parse_image, parse_name, parse_stack_name
from bayplan.compose.ports import PORTS_MAX, parse_expose, parse_port, parse_port_name
from bayplan.compose.report import FormError
from bayplan.model import PortMode, PortSpec, Protocol

UDP = Protocol.UDP


def port(target: int, published: int = 0, protocol: Protocol = Protocol.TCP, host_ip: str = "") -> PortSpec:
    """A port that answers on every node, as the short form means it."""
    return PortSpec(
        target=target, published=published, protocol=protocol, host_ip=host_ip, mode=PortMode.INGRESS
    )


@pytest.mark.parametrize(
    ("written", "ports"),
    [
        ("80", [port(target=80)]),
        ("8080:80", [port(target=80, published=8080)]),
        ("22:22", [port(target=22, published=22)]),
        (":80", [port(target=80)]),
        (":443:443", [port(target=443, published=443)]),
        ("53:53/udp", [port(target=53, published=53, protocol=UDP)]),
        ("53/UDP", [port(target=53, protocol=UDP)]),
        ("127.0.0.1:8080:80", [port(target=80, published=8080, host_ip="127.0.0.1")]),
        ("127.0.0.1::80", [port(target=80, host_ip="127.0.0.1")]),
        ("[::1]:8080:80", [port(target=80, published=8080, host_ip="::1")]),
        ("::1:8080:80", [port(target=80, published=8080, host_ip="::1")]),
        ("80-81", [port(target=80), port(target=81)]),
        ("8080-8082:80", [port(target=80, published=8080)]),
        ("0:80", [port(target=80)]),
        ("90-91:80-81", [port(target=80, published=90), port(target=81, published=91)]),
    ],
)
def test_every_short_form_of_a_port_is_read(written: str, ports: list[PortSpec]) -> None:
    assert parse_port(written) == tuple(ports)


@pytest.mark.parametrize(
    "written",
    ["", "http", "0", "80:0", "65536", "70000:80", "80:", "80-82:80-81", "82-80", "80:80/xyz", "1.2.3:80:80",
     "::g:80:80", "127.0.0.1:80", "1-60000", "80 80", "-80", "８０", "1:2:3:4", "9" * 5_000],
)  # fmt: skip
def test_what_is_not_a_port_is_refused(written: str) -> None:
    with pytest.raises(FormError):
        parse_port(written)


ranges = st.integers(1, 65_535).flatmap(
    lambda first: st.tuples(st.just(first), st.integers(first, min(first + PORTS_MAX - 1, 65_535)))
)


@given(
    ranges, st.integers(1, 60_000), st.sampled_from(list(Protocol)), st.sampled_from(["", "10.0.0.1", "::1"])
)
def test_a_written_range_of_ports_comes_back(
    span: tuple[int, int], shift: int, protocol: Protocol, ip: str
) -> None:
    first, last = span
    if shift + last - first > 65_535:
        shift = 1
    host = f"[{ip}]:" if ":" in ip else f"{ip}:" if ip else ""
    ports = parse_port(f"{host}{shift}-{shift + last - first}:{first}-{last}/{protocol}")
    assert [port.target for port in ports] == list(range(first, last + 1))
    assert [port.published for port in ports] == list(range(shift, shift + last - first + 1))
    assert {(port.protocol, port.host_ip) for port in ports} == {(protocol, ip)}


@given(st.text("0123456789:-/.[]tcpud ", max_size=24))
def test_any_text_is_a_port_in_range_or_refused(written: str) -> None:
    for parse in (parse_port, parse_expose):
        try:
            ports = parse(written)
        except FormError:
            continue
        assert ports
        assert all(1 <= port.target <= 65_535 and 0 <= port.published <= 65_535 for port in ports)


@pytest.mark.parametrize(
    "image",
    ["nginx", "nginx:1.27", "team/app", "host:5000/team/app:2", "ghcr.io/a/b-c__d.e:v1", "[::1]:5000/a",
     "app@sha256:" + "a" * 64, "docker.io/library/app:1@sha256:" + "0" * 64, "localhost/x"],
)  # fmt: skip
def test_image_references_are_taken(image: str) -> None:
    assert parse_image(image) == image


@pytest.mark.parametrize(
    "image",
    [
        "",
        "Nginx",
        "a b",
        "nginx:",
        ":1",
        "/nginx",
        "a//b",
        "a@sha256:1",
        "a" * 256,
        "http://x/y",
        "a:b:c",
        "-a",
    ],
)
def test_what_is_not_an_image_reference_is_refused(image: str) -> None:
    with pytest.raises(FormError):
        parse_image(image)


def test_an_image_in_capitals_is_answered_with_lower_case() -> None:
    with pytest.raises(FormError) as caught:
        parse_image("MyApp:1")
    assert caught.value.hint == "write it in lower case"


@pytest.mark.parametrize(
    ("written", "constraint"),
    [
        ("node.labels.zone==a", "node.labels.zone == a"),
        ("node.labels.zone != a b", "node.labels.zone != a b"),
        (" node.hostname == h1 ", "node.hostname == h1"),
        ("node.role==manager", "node.role == manager"),
        ("node.platform.arch==x86_64", "node.platform.arch == x86_64"),
        ("node.labels.a==b==c", "node.labels.a == b==c"),
    ],
)
def test_constraints_are_written_in_one_way(written: str, constraint: str) -> None:
    assert parse_constraint(written) == constraint


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("node.label.zone==a", "did you mean node.labels.zone?"),
        ("node.hostnme==a", "did you mean node.hostname?"),
        ("node.platform.arc==a", "did you mean node.platform.arch?"),
        (
            "node.labels.zone=a",
            "write it like node.labels.zone == a, or with one of == != in not in >= <= > < =~ !~ version",
        ),
        ("node.labels.zone==", "write it like node.labels.zone == a"),
        ("zone > 3", "did you mean node.labels.zone?"),
    ],
)
def test_a_wrong_constraint_is_answered_with_the_nearest(written: str, hint: str) -> None:
    with pytest.raises(FormError) as caught:
        parse_constraint(written)
    assert caught.value.hint == hint


@given(st.text(max_size=30))
def test_any_text_is_a_constraint_or_refused(written: str) -> None:
    try:
        key, operator, value = parse_constraint(written).split(" ", 2)
    except FormError:
        return
    assert operator in ("==", "!=")
    assert key
    assert value


@pytest.mark.parametrize("name", ["shop", "s", "a-b_c", "0x", "a" * 63])
def test_names_of_stacks_are_taken(name: str) -> None:
    assert parse_stack_name(name) == name


@pytest.mark.parametrize("name", ["", "Shop", "-a", "_a", "a.b", "a" * 64, "a b", "a\n"])
def test_what_is_not_a_name_of_a_stack_is_refused(name: str) -> None:
    with pytest.raises(FormError):
        parse_stack_name(name)


def test_services_may_have_capitals_and_dots_but_no_blanks() -> None:
    assert parse_name("My.Service-1_a") == "My.Service-1_a"
    with pytest.raises(FormError):
        parse_name("my service")


@pytest.mark.parametrize(
    ("written", "mode"), [("0755", 0o755), ("0o1777", 0o1777), ("01777", 0o1777), ("00", 0), ("755", 0o755)]
)
def test_modes_are_octal(written: str, mode: int) -> None:
    assert parse_mode(written) == mode


@pytest.mark.parametrize("written", ["0999", "010000", "", "0x1", "-1"])
def test_what_is_not_a_mode_is_refused(written: str) -> None:
    with pytest.raises(FormError):
        parse_mode(written)


@pytest.mark.parametrize(
    ("written", "path"), [("/a", "/a"), ("/a/", "/a"), ("//a//b", "/a/b"), ("/a/../b", "/b")]
)
def test_targets_are_normal_paths(written: str, path: str) -> None:
    assert parse_target(written) == path


@pytest.mark.parametrize("written", ["", "a", "./a", "/", "/..", "//"])
def test_what_cannot_be_mounted_over_is_refused(written: str) -> None:
    with pytest.raises(FormError):
        parse_target(written)


def test_the_name_of_a_port_fits_into_a_label_of_srv_records() -> None:
    assert parse_port_name("a" * 62) == "a" * 62
    for wrong in ("a" * 63, "_http", "a b", "a.b"):
        with pytest.raises(FormError, match="is not a name for a port"):
            parse_port_name(wrong)
