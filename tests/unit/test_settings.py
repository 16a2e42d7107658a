"""Settings are checked before a socket opens, and an error names the variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.settings import Settings, SettingsError, table


def test_defaults_need_no_environment() -> None:
    assert Settings.load({}).port == 8080


def test_an_empty_variable_is_as_none() -> None:
    assert Settings.load({"PORT": ""}).port == 8080


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("LOG_LEVEL", "loud"),
        ("MONGO_DB", "a.b"),
        ("OUTBOX_LIMIT", "1"),
        ("PASSWORD_MEMORY", "31"),
        ("LIMITS", "no"),
        ("ALLOWED_ORIGINS", "chat.example"),
        ("ALLOWED_ORIGINS", "https://chat.example/"),
    ],
)
def test_a_wrong_value_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}: ") as raised:
        Settings.load({variable: value})
    assert "\n" not in str(raised.value)


def test_a_value_may_come_as_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "mongo"
    secret.write_text("mongodb://u:p@db/?replicaSet=r\n")
    assert Settings.load({"MONGO_URL_FILE": str(secret)}).mongo_url == "mongodb://u:p@db/?replicaSet=r"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^MONGO_URL_FILE: cannot read"):
        Settings.load({"MONGO_URL_FILE": str(tmp_path / "none")})


def test_a_setting_that_is_a_path_is_not_read(tmp_path: Path) -> None:
    assert Settings.load({"ADMIN_FILE": str(tmp_path / "none")}).admin_file == tmp_path / "none"


@pytest.mark.parametrize("variable", ["MONGO_CA_FILE", "NATS_CA_FILE", "NATS_CREDS_FILE"])
def test_what_a_connection_needs_must_be_there(variable: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}: .*cannot read .*none"):
        Settings.load({variable: str(tmp_path / "none")})


@pytest.mark.parametrize("variable", ["MONGO_CA_FILE", "NATS_CA_FILE"])
def test_a_ca_must_be_a_certificate(variable: str, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("a secret\n")
    with pytest.raises(SettingsError, match=f"^{variable}: .*holds no certificate"):
        Settings.load({variable: str(tmp_path / "key.pem")})


def test_the_table_lists_every_setting() -> None:
    rows = table().splitlines()[2:]
    assert [row.split("`")[1].lower() for row in rows] == list(Settings.model_fields)
