"""What a gateway is told by its operator. `agentrt.gateway.settings_file` reads it from TOML.

Descriptions end up in error messages: each says what its value is for, and what else could be done.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from agentrt.backends.hints import DIALECTS
from agentrt.errors import InputError
from agentrt.gateway.keys import HASH_FORM
from agentrt.gateway.replica_url import split_replica_url
from agentrt.scheduler.policies import named

_MANY = 1 << 62
_A_DAY_S = 86_400.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")

Count: TypeAlias = Annotated[int, Field(ge=1, le=_MANY)]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=366 * _A_DAY_S, allow_inf_nan=False)]
Names: TypeAlias = Annotated[tuple[str, ...], Field(strict=False)]
BudgetPeriod: TypeAlias = Literal["day", "month"]


class _Table(BaseModel):
    """A table of the file: what it does not know is an error, and nothing is taken for what it is not."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, populate_by_name=False
    )


class ReplicaSettings(_Table):
    """An engine. Keys stand in the environment or in files of their own, never here."""

    url: str = Field(description="where the engine is, such as vllm+http://127.0.0.1:8000")
    api_key_env: str | None = Field(
        default=None, description="the name of an environment variable that holds the engine's key"
    )
    api_key_file: str | None = Field(
        default=None, description="a file that holds nothing but the engine's key"
    )
    models: Names = Field(
        default=(), description="the models to serve from there; leave it out for all it names"
    )
    dialects: Names = Field(
        default=(),
        description="hints that it understands beside those of its kind, such as llm-d or lmcache",
    )
    kv_tokens: Count | None = Field(
        default=None,
        description="tokens that its KV cache has room for; leave it out to take what it says",
    )
    max_running: Count | None = Field(
        default=None,
        description="calls worth having there at once; leave it out to take what it says",
    )

    @field_validator("url")
    @classmethod
    def _is_an_engine(cls, url: str) -> str:
        split_replica_url(url)
        return url

    @field_validator("api_key_env")
    @classmethod
    def _is_a_variable(cls, name: str | None) -> str | None:
        if name is not None and not _VARIABLE.fullmatch(name):
            raise ValueError(
                "this is no name of an environment variable; the key itself is not for the file"
            )
        return name

    @field_validator("models")
    @classmethod
    def _are_names(cls, models: tuple[str, ...]) -> tuple[str, ...]:
        if not all(models):
            raise ValueError("the name of a model is empty")
        return models

    @field_validator("dialects")
    @classmethod
    def _are_dialects(cls, dialects: tuple[str, ...]) -> tuple[str, ...]:
        if not set(dialects) <= set(DIALECTS):
            raise ValueError(f"one of them is no dialect; there are: {', '.join(DIALECTS)}")
        return dialects

    @model_validator(mode="after")
    def _has_one_key(self) -> Self:
        if self.api_key_env is not None and self.api_key_file is not None:
            raise ValueError("api_key_env and api_key_file are both given: one key, one place")
        return self


class TenantSettings(_Table):
    """Whoever has one of its keys is this tenant, and all of this holds for them together."""

    name: str = Field(description="letters, digits, and . _ - between them; at most 64")
    keys: Names = Field(
        default=(), description="hashes of keys, as `agentrt keys new TENANT` prints them"
    )
    weight: float = Field(
        default=1.0,
        ge=0.001,
        le=1000.0,
        allow_inf_nan=False,
        description="its share of the engines where tenants wait, next to the others' weights",
    )
    requests_per_minute: Count | None = Field(
        default=None, description="requests in any minute; leave it out for no limit"
    )
    tokens_per_minute: Count | None = Field(
        default=None,
        description="tokens of prompts and answers in any minute; leave it out for no limit",
    )
    budget_tokens: Count | None = Field(
        default=None, description="tokens in every budget_period; leave it out for no limit"
    )
    budget_period: BudgetPeriod = Field(
        default="month", description="how often the budget begins anew, at midnight UTC"
    )
    max_concurrent: Count | None = Field(
        default=None, description="requests at once, the others wait; leave it out for no limit"
    )
    max_waiting: int = Field(
        default=100,
        ge=0,
        le=_MANY,
        description="requests that wait for one of max_concurrent; what comes then is refused",
    )
    deadline_s: Seconds | None = Field(
        default=None,
        description="seconds in which its programs should be done; leave it out for no deadline",
    )
    may_share_cache: bool = Field(
        default=False,
        description="whether its prompts may share cached prefixes with other tenants that may",
    )

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("this is no name of a tenant")
        return name

    @field_validator("keys")
    @classmethod
    def _are_hashes(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if not all(HASH_FORM.fullmatch(key) for key in keys):
            # What stands there may be a key: it is not shown.
            raise ValueError(
                "one of them is no hash, which is sha256: and 64 hexadecimal digits; a key itself is not "
                "for the file"
            )
        return keys


class GatewaySettings(_Table):
    """All of it. Flags of `agentrt serve` are named as these are, with dashes."""

    host: str = Field(default="127.0.0.1", description="the address to listen at")
    port: int = Field(
        default=8300, ge=0, le=65535, description="the port to listen at; 0 takes a free one"
    )
    policy: str = Field(
        default="occupancy",
        description="what orders programs, as `agentrt simulate --policy` takes it",
    )
    kv_tokens: Count | None = Field(
        default=None,
        description="tokens that each replica's KV cache has room for; leave it out to take what they say",
    )
    max_waiting: Count = Field(
        default=10_000,
        description="requests that wait for a replica of one model; what comes then is refused",
    )
    max_requests: Count = Field(
        default=20_000, description="requests under way, those that wait too; others are refused"
    )
    max_body_bytes: Count = Field(
        default=64 << 20, description="the longest request; what is longer is refused"
    )
    max_bodies_bytes: Count = Field(
        default=1 << 30,
        description="bytes of all requests under way, in all; what comes beyond is refused",
    )
    idle_s: Seconds = Field(
        default=120.0,
        description="seconds after an answer without tool calls until its program counts as over",
    )
    expire_s: Seconds = Field(
        default=1800.0,
        description="seconds after any other answer until its program counts as over",
    )
    unavailable_s: Seconds = Field(
        default=10.0, description="seconds that requests wait while no replica of a model is up"
    )
    drain_s: float = Field(
        default=30.0,
        ge=0,
        le=_A_DAY_S,
        allow_inf_nan=False,
        description="seconds that answers under way may still take when the gateway is stopped",
    )
    log_prompts: bool = Field(
        default=False, description="whether prompts are logged; they are your clients' secrets"
    )
    store: str | None = Field(
        default=None, description="where what was learned is kept: a file, a URL, memory: or none"
    )
    is_open: bool = Field(
        default=False,
        alias="open",
        description="whether anybody who reaches the gateway may use it, with no key",
    )
    replicas: Annotated[tuple[ReplicaSettings, ...], Field(strict=False)] = Field(
        default=(), alias="replica", description="the engines, each in a table [[replica]]"
    )
    tenants: Annotated[tuple[TenantSettings, ...], Field(strict=False)] = Field(
        default=(), alias="tenant", description="who may use it, each in a table [[tenant]]"
    )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @field_validator("host")
    @classmethod
    def _is_an_address(cls, host: str) -> str:
        if not host or not host.isprintable() or any(sign in host for sign in " /@"):
            raise ValueError("this is no address")
        return host

    @field_validator("policy")
    @classmethod
    def _is_a_policy(cls, policy: str) -> str:
        try:
            named(policy)
        except InputError as error:
            raise ValueError(str(error)) from error
        return policy

    @model_validator(mode="after")
    def _is_each_only_once(self) -> Self:
        _once("replicas at", [replica.url for replica in self.replicas])
        _once("tenants called", [tenant.name for tenant in self.tenants])
        hashes = [hashed for tenant in self.tenants for hashed in tenant.keys]
        if len(set(hashes)) < len(hashes):
            raise ValueError("one key is given twice, so whose it is cannot be told")
        if self.is_open and self.tenants:
            raise ValueError(
                "open = true lets in anybody, and tenants are let in by their keys: not both"
            )
        return self

    def check(self) -> Self:
        """What is served, and to whom, once flags and file are put together.

        Raises:
            InputError: there is nothing to serve, or anybody could use it.
        """
        if not self.replicas:
            raise InputError(
                "no replica is given, so there is nothing to serve\n"
                "name one: agentrt serve --replica vllm+http://127.0.0.1:8000"
            )
        if not (self.is_loopback or self.tenants or self.is_open):
            raise InputError(
                f"others than this machine reach {self.host}, and no tenant is configured: anybody could "
                "use the engines\n"
                "agentrt keys new TENANT makes a key and prints what belongs in --config FILE; "
                "--open lets in anybody; --host 127.0.0.1 serves this machine alone"
            )
        return self


def _once(what: str, names: list[str]) -> None:
    for at, name in enumerate(names):
        if name in names[:at]:
            raise ValueError(f"there are two {what} {name}")
