"""The engines behind a gateway, from what its operator says of them: where they are, and their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from agentrt.backends.base import Backend
from agentrt.backends.hints import HintFields
from agentrt.backends.openai_http import HttpSettings, OpenAIBackend
from agentrt.backends.passthrough import Passthrough
from agentrt.backends.registry import api_key_for
from agentrt.backends.server_kind import SGLANG, VLLM
from agentrt.errors import InputError
from agentrt.gateway.hinting import Hinting
from agentrt.gateway.replica_url import split_replica_url
from agentrt.gateway.replicas import ReplicaSource
from agentrt.gateway.settings import ReplicaSettings
from agentrt.ir.hints import Hints
from agentrt.runtime.pool import Replica
from agentrt.scheduler.events import ReplicaId

_KINDS = {"vllm": VLLM, "sglang": SGLANG}
_MOST_KEY_BYTES = 64 * 1024


class Engine:
    """One engine: what looks after it, and what requests go through. The key is in neither's name."""

    def __init__(self, settings: ReplicaSettings, environ: Mapping[str, str]) -> None:
        """Nothing is sent.

        Raises:
            InputError: its key is not where it should be, or can be none.
        """
        kind, self._url = split_replica_url(settings.url)
        self._kind = _KINDS.get(kind)
        self._key = engine_key(settings, environ)
        self.replica_id: ReplicaId = settings.url
        self.dialects = settings.dialects
        self.passthrough = Passthrough(self._url, api_key=self._key)
        self.source = ReplicaSource(
            replica_id=self.replica_id,
            connect=self._connect,  # no partial: that shows the key to whoever prints it
            models=settings.models,
            kv_tokens=settings.kv_tokens,
            max_running=settings.max_running,
        )

    def _connect(self) -> OpenAIBackend:
        return OpenAIBackend(self._url, api_key=self._key, kind=self._kind, settings=_QUICK)


class Engines:
    """All of them, and what is said to them beside the requests."""

    def __init__(self, settings: Sequence[ReplicaSettings], environ: Mapping[str, str]) -> None:
        """Nothing is sent.

        Raises:
            InputError: as for `Engine`.
        """
        self._engines = {replica.url: Engine(replica, environ) for replica in settings}
        self.hinting = Hinting(
            dialects={name: engine.dialects for name, engine in self._engines.items()}
        )

    @property
    def sources(self) -> list[ReplicaSource]:
        """For `Replicas`. One that is connected to again may have been started with other options."""
        return [
            replace(engine.source, connect=partial(self._connect, engine))
            for engine in self._engines.values()
        ]

    def passthrough(self, replica_id: ReplicaId) -> Passthrough:
        """To one of them."""
        return self._engines[replica_id].passthrough

    def hints(self, replica: Replica, hints: Hints) -> HintFields:
        """What to add to a request that goes there now."""
        return self.hinting.fields(replica.replica_id, replica.capabilities, hints)

    def isolating(self, replica: Replica, hints: Hints) -> HintFields:
        """The part of it that keeps tenants apart."""
        return self.hinting.isolating(replica.replica_id, replica.capabilities, hints)

    async def aclose(self) -> None:
        """Give up all connections."""
        for engine in self._engines.values():
            await engine.passthrough.aclose()

    def _connect(self, engine: Engine) -> Backend:
        self.hinting.up(engine.replica_id)
        return engine.source.connect()


_QUICK = HttpSettings(timeout_s=30.0)
"""For questions about the engine itself; what clients ask is as patient as `Passthrough`."""


def engine_key(settings: ReplicaSettings, environ: Mapping[str, str]) -> str | None:
    """The key to send there: the replica's own, or else what `agentrt.backends.registry` gives it.

    Raises:
        InputError: it is not where it should be. The message does not show what is there.
    """
    where = f"replica {settings.url}"
    if settings.api_key_env is not None:
        key = environ.get(settings.api_key_env, "").strip()
        if not key:
            raise InputError(
                f"{where}: the environment has no {settings.api_key_env}\n"
                f"export {settings.api_key_env}=... before agentrt serve, or leave api_key_env out"
            )
        return key
    if settings.api_key_file is not None:
        return _key_in_file(where, Path(settings.api_key_file).expanduser())
    parts = urlsplit(split_replica_url(settings.url)[1])
    is_secure = parts.scheme == "https"
    return api_key_for(parts.hostname or "", is_secure=is_secure, environ=environ)


def _key_in_file(where: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_KEY_BYTES + 1)
        key = data.decode("ascii").strip()
    except OSError as error:
        said = f"{where}: api_key_file {path}: {error.strerror or error}"
        raise InputError(said) from error
    except ValueError:
        # From None: the cause would hold what is in the file.
        raise InputError(f"{where}: api_key_file {path} holds no key") from None
    if not key or not key.isprintable() or len(data) > _MOST_KEY_BYTES or " " in key:
        raise InputError(f"{where}: api_key_file {path} holds no key, or more than one")
    return key
