"""Who may ask: tokens, addresses and names."""

from pathlib import Path

import pytest

from plaudit.errors import UsageError
from plaudit.server.security import TOKEN_VARIABLE, Gatekeeper, is_loopback, read_token

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    assert read_token(None, host) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "trainer.example", ""])
def test_other_addresses_do(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="clients need a token"):
        read_token(None, host)
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    assert read_token(None, host) == TOKEN


@pytest.mark.parametrize("text", ["", "short", "tab\tin the middle of it", "n\u00f6t ascii at all"])
def test_a_weak_token_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    (tmp_path / "t").write_text(text)
    with pytest.raises(UsageError) as refusal:
        read_token(str(tmp_path / "t"), "127.0.0.1")
    assert not text or text not in str(refusal.value)


def test_names() -> None:
    plain = Gatekeeper(None, ["Trainer.example"])
    for host in ("localhost:8080", "127.0.0.1", "[::1]:8080", "trainer.example:1"):
        assert plain.knows(host)
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1"):
        assert not plain.knows(host)
    assert Gatekeeper(TOKEN).knows("10.0.0.7:8080")
    assert not Gatekeeper(TOKEN, ["trainer.example"]).knows("evil.example")


def test_tokens() -> None:
    keeper = Gatekeeper(TOKEN)
    assert keeper.admits(f"Bearer {TOKEN}") and keeper.admits(f"bearer  {TOKEN}")
    for header in (
        "",
        "Bearer",
        f"Token {TOKEN}",
        f"Bearer {TOKEN}x",
        "Basic e30=",
        "Bearer \udcff",
    ):
        assert not keeper.admits(header)
    assert Gatekeeper(None).admits("")
