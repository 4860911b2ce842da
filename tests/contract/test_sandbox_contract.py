"""The sandbox's answers agree with the contract, whatever it is asked, well or badly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, settings

from include.sandbox.app import create_app
from include.sandbox.world import World

CONTRACT = Path(__file__).parent / "gong-users-openapi.yml"
WORLD = World(users=30)


def _contract() -> dict[str, Any]:
    """The contract, with two things that it leaves out.

    Any endpoint may answer 400 (Gong's public reference says so), and a cursor can't be made up:
    without an answer that held one there is only the empty one.
    """
    contract: dict[str, Any] = yaml.safe_load(CONTRACT.read_text())
    no_cursor = {"type": "string", "enum": [""]}
    contract["components"]["schemas"]["UsersFilterRequest"]["properties"]["cursor"] = no_cursor
    contract["paths"]["/users"]["get"]["parameters"][0]["schema"] = no_cursor
    bad_request = contract["paths"]["/users/filter"]["post"]["responses"]["400"]
    for operations in contract["paths"].values():
        for operation in operations.values():
            operation["responses"].setdefault("400", bad_request)
    return contract


APP = create_app(
    WORLD, access_key="key", access_key_secret="secret", access_token="token", calls_per_second=0, page_size=7
)
schema = schemathesis.openapi.from_dict(_contract())
schema.app = APP
schema.config.update(base_url="http://sandbox/v2")


@schema.parametrize()
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_answers_agree_with_the_contract(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(auth=("key", "secret"))


@pytest.mark.parametrize("path", ["/users/{id}", "/users/{id}/settings-history"])
def test_every_user_of_the_world_agrees_with_the_contract(path: str) -> None:
    for user in WORLD.users:
        case = schema[path]["GET"].Case(path_parameters={"id": user["id"]})
        answer = case.call_and_validate(auth=("key", "secret"))
        assert answer.status_code == 200
