import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.gateway.salts import Salts, new_secret
from agentrt.ir.schema import Json

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)


def test_a_tenants_salt_is_the_same_in_every_process_that_has_the_secret() -> None:
    secret = new_secret()
    assert Salts(secret).salt("a") == Salts(secret).salt("a") != ""
    assert Salts(new_secret()).salt("a") != Salts(secret).salt("a")


@given(NAMES, NAMES, st.text(max_size=5), st.text(max_size=5))
def test_no_two_tenants_ever_have_a_salt_in_common(a: str, b: str, own: str, other: str) -> None:
    salts = Salts("00" * 32)
    assert (salts.salt(a, own) == salts.salt(b, other)) == ((a, own) == (b, other))


def test_a_client_that_sends_what_another_tenants_salt_is_gets_its_own() -> None:
    salts = Salts(new_secret())
    assert salts.salt("mallory", salts.salt("acme")) not in {salts.salt("acme"), ""}


def test_those_that_share_have_none_but_what_they_ask_for() -> None:
    salts = Salts(new_secret(), sharing=frozenset({"a", "b"}))
    assert (salts.salt("a"), salts.salt("b"), salts.salt("a", "own")) == ("", "", "own")
    assert salts.salt("c") != ""


def test_where_anybody_is_served_a_clients_salt_is_passed_on() -> None:
    assert Salts(new_secret()).salt("", "own") == "own"


def test_a_gateway_that_starts_again_goes_on_with_its_salts() -> None:
    before, after = Salts(new_secret()), Salts(new_secret())
    after.restore(before.secret)
    assert after.salt("a") == before.salt("a")


@pytest.mark.parametrize("secret", [None, 1, "", "00", "zz" * 32, ["00" * 32]])
def test_what_is_no_secret_is_refused_and_the_one_there_is_stays(secret: Json) -> None:
    salts = Salts("11" * 32)
    with pytest.raises(ValueError):  # noqa: PT011  also what `bytes.fromhex` says
        salts.restore(secret)
    assert salts.secret == "11" * 32


def test_half_a_surrogate_pair_is_a_salt_too() -> None:
    assert Salts(new_secret()).salt("a", "\ud800") != ""
