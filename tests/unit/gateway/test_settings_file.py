from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.errors import InputError
from agentrt.gateway.keys import hash_of, new_key
from agentrt.gateway.settings import GatewaySettings, ReplicaSettings, TenantSettings
from agentrt.gateway.settings_file import line_of, read_settings, settings_of

HASH = hash_of("agentrt-one")

WHOLE = f"""\
host = "0.0.0.0"
port = 8301
policy = "occupancy:headroom=0.2"
kv_tokens = 20_000
max_waiting = 50
drain_s = 5
log_prompts = false
store = "none"

[[replica]]
url = "vllm+http://gpu0:8000"
api_key_env = "GPU0_KEY"
models = ["qwen"]
kv_tokens = 1000
max_running = 8

[[replica]]
url = "https://gpu1"

[[tenant]]
name = "acme"
keys = ["{HASH}"]
weight = 2
requests_per_minute = 60
tokens_per_minute = 100_000
budget_tokens = 1_000_000
budget_period = "day"
max_concurrent = 4
max_waiting = 10
deadline_s = 30.5
may_share_cache = true
"""


def refused(text: str, **flags: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        settings_of(text, flags, name="gateway.toml")
    return str(caught.value).splitlines()


def test_a_file_says_everything() -> None:
    settings = settings_of(WHOLE, {})
    assert settings.host == "0.0.0.0"  # noqa: S104  what the file says
    assert (settings.port, settings.policy) == (8301, "occupancy:headroom=0.2")
    assert (settings.kv_tokens, settings.max_waiting, settings.drain_s) == (20_000, 50, 5.0)
    assert (settings.log_prompts, settings.store, settings.is_open) == (False, "none", False)
    assert settings.replicas == (
        ReplicaSettings(
            url="vllm+http://gpu0:8000",
            api_key_env="GPU0_KEY",
            models=("qwen",),
            kv_tokens=1000,
            max_running=8,
        ),
        ReplicaSettings(url="https://gpu1"),
    )
    assert settings.tenants == (
        TenantSettings(
            name="acme",
            keys=(HASH,),
            weight=2.0,
            requests_per_minute=60,
            tokens_per_minute=100_000,
            budget_tokens=1_000_000,
            budget_period="day",
            max_concurrent=4,
            max_waiting=10,
            deadline_s=30.5,
            may_share_cache=True,
        ),
    )


def test_nothing_said_is_the_defaults() -> None:
    assert settings_of("", {}) == GatewaySettings()


def test_flags_win_over_the_file_and_what_is_not_given_stays() -> None:
    settings = settings_of(WHOLE, {"port": 1, "host": None, "log_prompts": True})
    assert (settings.port, settings.host, settings.log_prompts) == (1, "0.0.0.0", True)  # noqa: S104


def test_flags_choose_replicas_and_the_file_still_says_what_it_knows_of_them() -> None:
    urls = ["http://new:1", "vllm+http://gpu0:8000"]
    settings = settings_of(WHOLE, {"replicas": urls})
    assert [replica.url for replica in settings.replicas] == urls
    assert [replica.api_key_env for replica in settings.replicas] == [None, "GPU0_KEY"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            'host = "127.0.0.1"\nprt = 1\n',
            ["gateway.toml, line 2, prt: nothing is called 'prt' here", "did you mean port?"],
        ),
        (
            '[[replica]]\nurl = "http://a"\n\n[[replica]]\nurl = "http://b"\nkv_token = 5\n',
            [
                "gateway.toml, line 6, replica 2, kv_token: nothing is called 'kv_token' here",
                "did you mean kv_tokens?",
            ],
        ),
        (
            "[[replica]]\nmodels = []\n",
            [
                "gateway.toml, line 1, replica 1: url is missing",
                "url: where the engine is, such as vllm+http://127.0.0.1:8000",
            ],
        ),
        (
            "port = 70000\n",
            [
                "gateway.toml, line 1, port: expected less than or equal to 65535, not 70000",
                "port: the port to listen at; 0 takes a free one",
            ],
        ),
        (
            "log_prompts = 1\n",
            [
                "gateway.toml, line 1, log_prompts: expected a valid boolean, not 1",
                "log_prompts: whether prompts are logged; they are your clients' secrets",
            ],
        ),
        (
            '[[tenant]]\nname = "a"\nbudget_period = "week"\n',
            [
                "gateway.toml, line 3, tenant 1, budget_period: expected 'day' or 'month'",
                "budget_period: how often the budget begins anew, at midnight UTC",
            ],
        ),
        (
            '[[tenant]]\nname = "a"\n[[tenant]]\nname = "a"\n',
            ["gateway.toml: there are two tenants called a"],
        ),
        (
            f'[[tenant]]\nname = "a"\nkeys = ["{HASH}"]\n[[tenant]]\nname = "b"\nkeys = ["{HASH}"]',
            ["gateway.toml: one key is given twice, so whose it is cannot be told"],
        ),
        (
            'policy = "fastest"\n',
            [
                "gateway.toml, line 1, policy: no policy 'fastest'; there are: continuum, "
                "deadline-slack, fcfs, gittins, infercept, kvflow, occupancy, plas, saga, "
                "thunderagent, cap-N",
                "policy: what orders programs, as `agentrt simulate --policy` takes it",
            ],
        ),
        (
            "port = = 1\n",
            ["gateway.toml: not TOML: Invalid value (at line 1, column 8)"],
        ),
        (
            'replica = "http://a"\n',
            [
                "gateway.toml, line 1, replica: expected a valid tuple",
                "replica: the engines, each in a table [[replica]]",
            ],
        ),
    ],
)
def test_an_error_says_where_what_and_what_else(text: str, lines: list[str]) -> None:
    assert refused(text) == lines


def test_a_wrong_flag_is_named_as_a_flag() -> None:
    assert refused("", port=-1)[0] == "--port: expected greater than or equal to 0, not -1"
    assert refused("port = 1", replicas=["ftp://a"])[0] == (
        "--replica: this is no URL of a replica: "
        "expected vllm+http://HOST:PORT, sglang+http://HOST:PORT or openai+https://HOST"
    )


@pytest.mark.parametrize(
    "template",
    [
        '[[tenant]]\nname = "a"\nkeys = ["{key}"]\n',
        '[[tenant]]\nname = "{key} "\n',
        '[[replica]]\nurl = "http://user:{key}@host"\n',
        '[[replica]]\nurl = "http://host?api_key={key}"\n',
        '[[replica]]\nurl = "{key}"\n',
        '[[replica]]\nurl = "http://host"\napi_key_env = "{key}"\n',
        '[[replica]]\nurl = "http://host"\nkv_tokens = "{key}"\n',
        'port = "{key}"\n',
        'host = "{key}@"\n',
    ],
)
def test_a_key_where_none_belongs_is_refused_and_not_shown(template: str) -> None:
    key = new_key()
    assert key not in "\n".join(refused(template.format(key=key)))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "gateway.example", "[::]"])  # noqa: S104
def test_who_is_reached_by_others_needs_tenants_or_to_say_that_it_is_open(host: str) -> None:
    replica = '[[replica]]\nurl = "http://a"\n'
    with pytest.raises(InputError, match="--open lets in anybody"):
        settings_of(replica, {"host": host}).check()
    settings_of(replica, {"host": host, "is_open": True}).check()
    settings_of(replica + '[[tenant]]\nname = "a"\n', {"host": host}).check()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_who_is_reached_by_this_machine_alone_may_serve_anybody(host: str) -> None:
    assert settings_of("", {"host": host, "replicas": ["http://a"]}).check().host == host


def test_serving_nothing_is_refused_with_an_example() -> None:
    with pytest.raises(InputError, match="agentrt serve --replica vllm"):
        GatewaySettings().check()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "not text in UTF-8"),
        (b"#" * (1 << 20) + b"#", "too long for a file of settings"),
        (b"a = " + b"[" * 100_000, "not TOML that can be read"),
        (b"a = 1\na = 2\n", "not TOML: Cannot overwrite a value"),
    ],
)
def test_a_file_that_is_none_is_told_with_its_name(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "gateway.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_settings(path, {})
    assert "gateway.toml" in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--config .*/none.toml: No such file"):
        read_settings(tmp_path / "none.toml", {})
    with pytest.raises(InputError, match="Is a directory"):
        read_settings(tmp_path, {})


def test_the_line_of_a_value_is_found_past_values_that_look_like_it() -> None:
    text = '# port = 1\nhost = """\nport = 2\n"""\nport = 3\nmodels = [\n "a",\n]\n'
    assert line_of(text, ("port",)) == 5
    assert line_of(text, ("models",)) == 8
    assert line_of(text, ("missing",)) is None


_KEYS = st.sampled_from(
    [*GatewaySettings.model_fields, "replica", "tenant", "open", "url", "name", "keys"]
) | st.text(max_size=5)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.sampled_from([HASH, "http://a", "vllm+http://[", "http://a:99999", "day"])
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=10,
)


def _literal(value: Any) -> str:
    """As TOML writes it, with None as a word that is no TOML."""
    match value:
        case dict():
            inner = ", ".join(f"{_quoted(str(k))} = {_literal(v)}" for k, v in value.items())
            return "{" + inner + "}"
        case list():
            return "[" + ", ".join(map(_literal, value)) + "]"
        case str():
            return _quoted(value)
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(sign):08x}" for sign in text) + '"'


def outcome(text: str, flags: dict[str, Any] | None = None) -> GatewaySettings | str:
    try:
        return settings_of(text, flags or {}, name="x.toml")
    except InputError as error:
        return str(error)


@given(st.dictionaries(_KEYS, _VALUES, max_size=4))
def test_any_structure_is_settings_or_an_input_error(told: dict[str, Any]) -> None:
    text = "".join(f"{_quoted(key)} = {_literal(value)}\n" for key, value in told.items())
    found = outcome(text)
    assert isinstance(found, GatewaySettings) or found.startswith("x.toml")


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text_is_settings_or_an_input_error(text: str) -> None:
    found = outcome(text)
    assert isinstance(found, GatewaySettings) or found.startswith("x.toml")


@given(
    st.fixed_dictionaries(
        {"url": _SCALARS, "models": st.lists(_SCALARS, max_size=2), "kv_tokens": _SCALARS}
    )
)
def test_any_values_of_a_replica_are_settings_or_an_input_error(replica: dict[str, Any]) -> None:
    text = "[[replica]]\n" + "".join(f"{key} = {_literal(v)}\n" for key, v in replica.items())
    found = outcome(text)
    if isinstance(found, GatewaySettings):
        assert found.replicas[0].url == replica["url"]


@given(st.dictionaries(st.sampled_from(["host", "port", "policy", "kv_tokens"]), _SCALARS))
def test_any_flags_are_settings_or_an_input_error(flags: dict[str, Any]) -> None:
    found = outcome("", flags)
    assert isinstance(found, GatewaySettings) or found.startswith("--")
