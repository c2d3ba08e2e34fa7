"""libnftables, on a kernel: a network namespace for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.runtime import nft
from agent.runtime.nft import Nft, NftError, NftMissingError
from tests.engine.net_world import Namespace


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with Namespace() as made:
        yield made


async def test_what_was_applied_is_listed(namespace: Namespace) -> None:
    rules = namespace.run(Nft)
    assert rules.run("list ruleset") == "", "a namespace has no rules to begin with"
    await rules.apply("table inet ours { chain c { tcp dport 80 accept; }; }")
    assert "tcp dport 80 accept" in await rules.apply("list table inet ours")
    rules.close()


def test_of_a_transaction_that_is_refused_nothing_is_done(namespace: Namespace) -> None:
    rules = namespace.run(Nft)
    with pytest.raises(NftError, match="No such file or directory"):
        rules.run("add table inet ours\nadd rule inet nobodys rules accept")
    assert rules.run("list ruleset") == ""
    rules.close()


def test_a_closed_handle_says_so(namespace: Namespace) -> None:
    rules = namespace.run(Nft)
    rules.close()
    rules.close()
    with pytest.raises(NftError, match="closed"):
        rules.run("list ruleset")


def test_a_machine_without_the_library_is_told_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "LIBRARY", "libnone.so.1")
    with pytest.raises(NftMissingError, match=r"libnone\.so\.1") as missing:
        Nft()
    assert "apt-get install libnftables1" in missing.value.hint
