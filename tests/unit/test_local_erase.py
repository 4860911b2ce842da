"""What `make erase` takes, how it refuses, and what it says was done."""

from pathlib import Path

import pytest

from include.local.__main__ import main
from include.local.erase import request, told


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, "USER_ID is missing: whom to forget, by his Gong id. Use: make erase USER_ID="),
        ({"USER_ID": ""}, "USER_ID is missing"),
        ({"USER_ID": "paula@firm.example"}, "USER_ID is an e-mail address. Give the user's Gong id"),
        ({"USER_ID": "1" * 201}, "at most 200 characters"),
        ({"USER_ID": "1", "UNDO": "yes"}, "UNDO must be 1"),
    ],
)
def test_what_is_no_request_is_refused_before_anything_starts(
    variables: dict[str, str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("USER_ID", "UNDO", "MAKELEVEL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GONG_LOCAL_DIR", str(tmp_path / "local"))
    assert main(["erase"]) == 1
    said = capsys.readouterr().err
    assert says in said
    assert "paula" not in said
    assert not (tmp_path / "local").exists()


@pytest.mark.parametrize(("given", "undo"), [("", False), ("0", False), ("1", True)])
def test_an_id_is_taken_as_it_is(given: str, undo: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_ID", " 007")
    monkeypatch.setenv("UNDO", given)
    assert request() == {"user_id": " 007", "undo": undo}


def test_what_was_done_is_told_by_table() -> None:
    rows = {"user_facts": 1, "user_settings_history": 1200}
    assert told({"was_forgotten": False, "rows": rows}, undo=False) == [
        "This user is forgotten: no sync loads him any more.",
        "Rows removed, or that name him no longer: 1 in user_facts, 1,200 in user_settings_history.",
        "What backups and logs still hold, and for how long: docs/privacy.md.",
    ]
    assert told({"was_forgotten": True, "rows": {}}, undo=False) == [
        "This user is forgotten already: no sync loads him any more.",
        "Nothing was held of him.",
    ]
    (lifted,) = told({"was_forgotten": True, "rows": {}}, undo=True)
    assert "The tombstone is lifted" in lifted
    (never,) = told({"was_forgotten": False, "rows": {}}, undo=True)
    assert "was not forgotten" in never
