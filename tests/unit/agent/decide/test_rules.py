"""Rules are a function of the state: whatever way led there."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from agent.decide.dataplane import Backend, front_of
from agent.decide.rules import Rules, difference, joined, rules_of, spread, whole
from bayplan.directory import Entry, Listing, Standing
from tests.unit.agent.decide.dataplane_world import HERE, entry, listing, published

standings = st.sampled_from([Standing.READY, Standing.SUSPECT, Standing.DRAINING])
entries = st.builds(
    entry,
    st.integers(1, 6),
    st.integers(1, 3),
    standing=standings,
    weight=st.sampled_from([0, 1, 2, 100]),
    networks=st.sampled_from([None, {}, {"inner": "10.65.0.9"}]),
)
ports = st.lists(st.builds(published, st.integers(8000, 8003), st.sampled_from(["", "10.9.0.1"])), max_size=2)


@st.composite
def states(draw: st.DrawFn) -> Rules:
    """The rules of up to four services, each with an address and ports of its own or somebody else's."""
    services = draw(st.lists(st.integers(1, 4), unique=True, max_size=4))
    return joined(rules_of(front_of(_service(draw, number), HERE)) for number in sorted(services))


def _service(draw: st.DrawFn, number: int) -> Listing:
    found: dict[str, Entry] = {each.id: each for each in draw(st.lists(entries, max_size=5))}
    vip = draw(st.sampled_from(["", f"10.64.15.{number}"]))
    return listing(*found.values(), service=f"s{number}", vip=vip, ports=tuple(draw(ports)))


class Kernel:
    """What a text of commands makes of the tables; a command that the kernel would refuse is an error."""

    def __init__(self) -> None:
        self.chains: dict[str, str] = {}
        self.elements: dict[str, dict[str, str]] = {}

    def run(self, text: str) -> Kernel:
        fixed = re.search(r"\A(add table.*?\n}\n)+", text, re.S)
        if fixed:
            self.__init__()  # type: ignore[misc]
            text = text[fixed.end() :]
        for line in text.splitlines():
            verb, what, family, _, name, *rest = line.split(" ", 5)
            getattr(self, f"_{verb}_{what}")(f"{family} {name}", *rest)
        return self

    def _add_chain(self, name: str) -> None:
        assert name not in self.chains
        self.chains[name] = ""

    def _flush_chain(self, name: str) -> None:
        assert name in self.chains
        self.chains[name] = ""

    def _delete_chain(self, name: str) -> None:
        verdict = f"goto {name.split()[1]}"
        assert not any(verdict in values.values() for values in self.elements.values()), f"{name} is in use"
        assert self.chains.pop(name) == ""

    def _add_rule(self, name: str, rule: str) -> None:
        assert self.chains[name] == "", "chains have one rule"
        self.chains[name] = rule

    def _add_element(self, name: str, given: str) -> None:
        held = self.elements.setdefault(name, {})
        for key, value in _elements(given):
            assert key not in held
            assert not value or f"inet {value.removeprefix('goto ')}" in self.chains
            held[key] = value

    def _delete_element(self, name: str, given: str) -> None:
        for key, _ in _elements(given):
            del self.elements[name][key]
        if not self.elements[name]:
            del self.elements[name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kernel) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


def _elements(given: str) -> Iterable[tuple[str, str]]:
    for each in given.removeprefix("{ ").removesuffix(" }").split(", "):
        key, _, value = each.partition(" : ")
        yield key, value


@given(states(), states())
def test_a_difference_applied_to_the_old_is_the_whole_of_the_new(old: Rules, new: Rules) -> None:
    assert Kernel().run(whole(old)).run(difference(old, new)) == Kernel().run(whole(new))


@given(states())
def test_the_same_state_is_the_same_text_and_no_difference(state: Rules) -> None:
    assert difference(state, state) == ""
    shuffled = Rules(dict(reversed(state.chains.items())), frozenset(sorted(state.elements)))
    assert whole(shuffled) == whole(state)


@given(states(), states())
def test_a_difference_says_nothing_of_services_that_stay(old: Rules, new: Rules) -> None:
    text = difference(old, new)
    for name in old.chains.keys() & new.chains.keys():
        if old.chains[name] == new.chains[name]:
            assert f" {name} " not in text and f" {name}\n" not in text


@given(st.lists(st.tuples(st.integers(1, 65_535), st.integers(1, 250)), min_size=1, max_size=8))
def test_each_back_end_has_as_many_numbers_as_its_weight(given: list[tuple[int, int]]) -> None:
    backends = [Backend(f"10.0.{place}.{last}", weight=w) for place, (w, last) in enumerate(given)]
    text = spread(backends)
    modulus = int(re.search(r"mod (\d+)", text)[1])  # type: ignore[index]
    counts = []
    expected_begin = 0
    for begin, end, address in re.findall(r"(\d+)(?:-(\d+))? : ([\d.]+)", text):
        assert int(begin) == expected_begin
        expected_begin = int(end or begin) + 1
        counts.append((address, expected_begin - int(begin)))
    assert expected_begin == modulus
    for (address, count), backend in zip(counts, backends, strict=True):
        assert address == backend.address
        assert count * sum(each.weight for each in backends) == modulus * backend.weight


def test_a_change_of_one_service_is_a_few_lines() -> None:
    before = rules_of(front_of(listing(entry(5), entry(6, node=2)), HERE))
    after = rules_of(front_of(listing(entry(5)), HERE))
    assert difference(before, after) == (
        "flush chain inet bayplan virtual-10.64.15.1\n"
        "add rule inet bayplan virtual-10.64.15.1 dnat ip to numgen random mod 1 map { 0 : 10.64.1.5 }\n"
    )


def test_an_address_without_anybody_is_known_and_leads_nowhere() -> None:
    rules = rules_of(front_of(listing(), HERE))
    assert rules.chains == {}
    assert {(each.family, each.holder, each.key) for each in rules.elements} == {
        ("inet", "addresses", "10.64.15.1"),
        ("bridge", "addresses", "10.64.15.1"),
    }


def test_a_port_that_two_services_claim_is_the_first_ones() -> None:
    first, second = (
        rules_of(front_of(listing(entry(number), service=name, vip="", ports=(published(8000),)), HERE))
        for number, name in ((1, "a"), (2, "b"))
    )
    both = joined([first, second])
    assert "10.64.1.1" in both.chains["port-tcp-8000"]
    Kernel().run(whole(both))


def test_loopback_alone_is_not_for_rules() -> None:
    given = published(8000, "127.0.0.1")
    assert rules_of(front_of(listing(entry(1), vip="", ports=(given,)), HERE)).chains == {}
