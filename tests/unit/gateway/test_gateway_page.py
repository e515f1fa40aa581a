"""docs/gateway.md says what the gateway does: its settings, its paths, its example file."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from agentrt.gateway.settings import GatewaySettings, ReplicaSettings, TenantSettings
from agentrt.gateway.settings_file import settings_of

PAGE = (Path(__file__).parents[3] / "docs" / "gateway.md").read_text(encoding="utf-8")


def rows(model: type[BaseModel]) -> list[str]:
    """The lines of the page's table of these settings."""
    return [
        f"| `{field.alias or name}` | {_shown(field.default)} | {field.description} |"
        for name, field in model.model_fields.items()
    ]


def _shown(default: object) -> str:
    if default is PydanticUndefined:
        return "needed"
    if default is None or default == ():
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, int | float):
        return f"{default:g}" if default < 10_000 else f"{default:_}"
    return f'`"{default}"`'


@pytest.mark.parametrize("model", [GatewaySettings, ReplicaSettings, TenantSettings])
def test_the_page_has_every_setting_as_it_is(model: type[BaseModel]) -> None:
    assert [row for row in rows(model) if row not in PAGE] == []


def test_the_pages_example_is_a_file_of_settings() -> None:
    blocks = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    (example,) = [block for block in blocks if "[[replica]]" in block]
    settings = settings_of(example.replace("sha256:...", "sha256:" + "0" * 64), {})
    assert [tenant.name for tenant in settings.check().tenants] == ["acme"]
    assert len(settings.replicas) == 2
