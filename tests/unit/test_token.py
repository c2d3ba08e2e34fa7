"""The join token's form, its check, its pin and its hash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayplan.errors import ProblemError, ProblemKind
from bayplan.token import JoinRole, JoinToken, ca_pin
from controller.authority import Authority

AUTHORITY = Authority.create("tokens", wall_ms=1_800_000_000_000)
TOKEN = AUTHORITY.new_token()
TEXT = str(TOKEN)


def problem_of_parsing(text: str):
    with pytest.raises(ProblemError) as caught:
        JoinToken.parse(text)
    return caught.value.problem


def test_a_token_survives_the_way_through_text():
    assert JoinToken.parse(f"  {TEXT}\n") == TOKEN
    controllers = AUTHORITY.new_token(JoinRole.CONTROLLER)
    assert str(controllers).startswith("BPL1-c-")
    assert JoinToken.parse(str(controllers)) == controllers


def test_two_tokens_share_the_pin_and_nothing_else():
    other = AUTHORITY.new_token()
    assert other.ca_pin == TOKEN.ca_pin == ca_pin(AUTHORITY.ca_pem)
    assert other.id != TOKEN.id
    assert other.secret != TOKEN.secret


def test_the_pin_has_at_least_128_bits():
    assert len(TOKEN.ca_pin) * 5 >= 128


@given(st.integers(0, len(TEXT) - 1), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567-"))
def test_a_changed_character_is_a_malformed_token(place: int, character: str):
    changed = TEXT[:place] + character + TEXT[place + 1 :]
    if changed != TEXT:
        assert problem_of_parsing(changed).kind is ProblemKind.INVALID


@given(st.text(max_size=300))
def test_any_other_text_is_a_malformed_token(text: str):
    assert problem_of_parsing(text).kind is ProblemKind.INVALID


def test_a_cut_token_is_told_from_one_with_a_typing_error():
    assert "not a join token" in problem_of_parsing(TEXT[:-3]).summary
    assert "not a join token" in problem_of_parsing(TEXT[:-5] + "a" + TEXT[-5:]).summary
    typo = TEXT[:10] + ("a" if TEXT[10] != "a" else "b") + TEXT[11:]
    assert "damaged" in problem_of_parsing(typo).summary


def test_no_error_and_no_repr_shows_the_secret():
    typo = TEXT[:-1] + ("a" if TEXT[-1] != "a" else "b")
    assert TOKEN.secret not in "\n".join(problem_of_parsing(typo).lines())
    assert TOKEN.secret not in repr(TOKEN)


def test_the_stored_hash_matches_only_its_own_token():
    stored = TOKEN.secret_hash()
    assert TOKEN.secret not in stored
    assert TOKEN.matches(stored)
    assert not AUTHORITY.new_token().matches(stored)
    assert not TOKEN.matches("")


def test_the_pinned_ca_is_found_in_a_bundle_of_several():
    others = [Authority.create("tokens", wall_ms=0).ca_pem for _ in range(2)]
    assert TOKEN.pinned_ca(others[0] + AUTHORITY.ca_pem + others[1]) == AUTHORITY.ca_pem
    assert TOKEN.pinned_ca(b"".join(others)) is None
    with pytest.raises(ValueError, match="PEM"):
        TOKEN.pinned_ca(b"no certificate")
