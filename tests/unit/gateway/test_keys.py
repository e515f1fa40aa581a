import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.gateway.keys import HASH_FORM, KEY_PREFIX, hash_of, is_key_of, key_in, new_key


def test_keys_are_long_new_each_time_and_kept_as_hashes() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(key) for key in keys} == {len(KEY_PREFIX) + 43}  # 256 bits in base64
    assert all(HASH_FORM.fullmatch(hash_of(key)) for key in keys)


def test_a_hash_is_its_keys_and_no_others() -> None:
    key = new_key()
    assert is_key_of(key, hash_of(key))
    assert not is_key_of(key + "x", hash_of(key))
    assert not is_key_of(key, hash_of(key).upper())
    assert not is_key_of("", "")


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"authorization": "Bearer k"}, "k"),
        ({"authorization": "bearer  k "}, "k"),
        ({"x-api-key": "k"}, "k"),
        ({"api-key": " k "}, "k"),
        ({"authorization": "Bearer a", "x-api-key": "b"}, "a"),
        ({"authorization": "Basic a", "x-api-key": "b"}, "b"),
        ({"authorization": "Bearer ", "api-key": "b"}, "b"),
        ({"authorization": "Bearer"}, None),
        ({"x-api-key": ""}, None),
        ({}, None),
    ],
)
def test_a_key_comes_in_any_of_three_headers(headers: dict[str, str], key: str | None) -> None:
    assert key_in(headers) == key


@given(st.text(st.characters(exclude_categories=())), st.text())
def test_whatever_stands_for_a_key_or_a_hash_is_compared(key: str, hashed: str) -> None:
    assert HASH_FORM.fullmatch(hash_of(key))
    assert not is_key_of(key, hashed)
    found = key_in({"authorization": f"Bearer {key}"})
    assert found is None or found in key
