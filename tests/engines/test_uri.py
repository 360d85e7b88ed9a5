import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.engines.load import load_engine
from plaudit.engines.uri import EngineURI
from plaudit.errors import UsageError


@pytest.mark.parametrize(
    ("text", "scheme", "model", "urls", "options"),
    [
        ("local", "local", "", (), ()),
        ("local?slots=2", "local", "", (), (("slots", "2"),)),
        ("gguf:/models/a b.gguf", "gguf", "/models/a b.gguf", (), ()),
        ("hf:owner/repo/file.gguf", "hf", "owner/repo/file.gguf", (), ()),
        ("vllm:org/model@http://h:1/v1", "vllm", "org/model", ("http://h:1/v1",), ()),
        ("vllm:@http://h:1/v1/", "vllm", "", ("http://h:1/v1",), ()),
        ("vllm:m@http://h:1,https://i", "vllm", "m", ("http://h:1", "https://i"), ()),
        ("openai:gpt%402024-05", "openai", "gpt@2024-05", (), ()),
        ("openai:%40cf/m@https://h/v1", "openai", "@cf/m", ("https://h/v1",), ()),
        ("openai:m@HTTP://H:1/V1/", "openai", "m", ("http://H:1/V1",), ()),
        ("vllm:m@Http://h,hTTps://i", "vllm", "m", ("http://h", "https://i"), ()),
        ("gguf:/home/me@host/50%40.gguf", "gguf", "/home/me@host/50%40.gguf", (), ()),
        ("scripted:a@b.jsonl", "scripted", "a@b.jsonl", (), ()),
        ("vllm:m:tag@http://h", "vllm", "m:tag", ("http://h",), ()),
        ("openai:m?a=1&b=x%20y", "openai", "m", (), (("a", "1"), ("b", "x y"))),
        ("scripted:a/b.jsonl", "scripted", "a/b.jsonl", (), ()),
    ],
)
def test_an_engine_uri_is_taken_apart_and_put_together(text, scheme, model, urls, options) -> None:
    uri = EngineURI.parse(text)
    assert (uri.scheme, uri.model, uri.base_urls, uri.options) == (scheme, model, urls, options)
    assert EngineURI.parse(str(uri)) == uri


@pytest.mark.parametrize(
    "text", ["", ":", "1a:m", "A:m", "my engine:m", "http://h/v1", "-x:m", "é:m"]
)
def test_what_is_no_engine_uri_is_refused(text: str) -> None:
    if text.startswith("http"):
        assert EngineURI.parse(text).scheme == "http"
        return
    with pytest.raises(UsageError, match="engine URI"):
        EngineURI.parse(text)


@pytest.mark.parametrize(
    "url", ["http://user:hunter2@h/v1", "https://hunter2@h", "http://:hunter2@h"]
)
def test_a_password_in_a_uri_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="must not hold a password") as caught:
        EngineURI.parse(f"vllm:m@{url}")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "urls",
    [
        "localhost:8000/v1", "htp://h", "//h/v1", "h", "", "ftp://h/v1", "http:h", "http:/h/v1",
        "http://h:99999/v1", "http://h:port", "http://[::1/v1", "http://h/v 1", " http://h",
        "http://h/v1#x", "http://h:0", "http://h,localhost:1", "https//h/v1", "http://h@",
    ],
)  # fmt: skip
def test_defect_46_what_follows_the_at_sign_is_a_url_or_an_error(urls: str) -> None:
    with pytest.raises(UsageError, match=r"^engine openai: what follows @"):
        EngineURI.parse(f"openai:m@{urls}")


@pytest.mark.parametrize(
    "text",
    [
        "openai:m@ftp://user:hunter2@h", "openai:m@http://user:hunter2@[::1/v1",
        "openai:m@user:hunter2@h:1", "openai:user:hunter2@h/v1", "openai:m@https://hunter2@h",
        "openai:m@http://u:1?hunter2@h/v1", "openai:m@http://u:hunter2", "openai:m@HTTP://hunter2@h",
        "OpenAI:m@http://user:hunter2@h", "//user:hunter2@h", "vllm:m@http://h,http://u:hunter2@i",
        "openai:m@http://h?api_key=x&hunter2@h=1", "gguf:m@http://user:hunter2@h",
        "openai:m@http://u:a,hunter2@h", "openai:http://user:hunter2@h/v1",
    ],
)  # fmt: skip
def test_defect_46_no_message_quotes_what_may_be_a_password(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(UsageError) as caught:
        load_engine(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://", "https:///v1", "http://h,"])
def test_a_base_url_without_a_host_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="base URL"):
        EngineURI.parse(f"vllm:m@{url}")


def test_options_have_defaults_and_unknown_ones_are_refused() -> None:
    uri = EngineURI.parse("vllm:m?b=2")
    assert uri.take(a="1", b="0") == {"a": "1", "b": "2"}
    with pytest.raises(UsageError, match="has no option 'b'; it has a"):
        uri.take(a="1")
    with pytest.raises(UsageError, match="it has none"):
        uri.take()


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_uri_or_a_usage_error(text: str) -> None:
    try:
        uri = EngineURI.parse(text)
    except UsageError:
        return
    assert EngineURI.parse(str(uri)).scheme == uri.scheme
