import random
import struct
import time

import pytest

from plaudit.engines.llama.catalogue import known_model
from plaudit.engines.llama.gguf import read_gguf
from plaudit.errors import UsageError

STRING, ARRAY, UINT32, INT32, UINT8 = 8, 9, 4, 5, 0


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def array(kind, elements):
    elements = list(elements)
    return struct.pack("<IIQ", ARRAY, kind, len(elements)) + b"".join(elements)


def string(value):
    return struct.pack("<I", STRING) + text(value)


def uint32(value):
    return struct.pack("<II", UINT32, value)


def gguf(pairs, version=3, keys=None, magic=b"GGUF"):
    body = b"".join(text(key) + value for key, value in pairs)
    return magic + struct.pack("<IQQ", version, 0, len(pairs) if keys is None else keys) + body


def vocabulary(kind, tokens):
    return [
        ("tokenizer.ggml.model", string(kind)),
        ("tokenizer.ggml.tokens", array(STRING, [text(t) for t, _ in tokens])),
        ("tokenizer.ggml.token_type", array(INT32, [struct.pack("<i", n) for _, n in tokens])),
    ]


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        return path

    return write


def test_the_embedded_model(local_weights):
    model = read_gguf(local_weights)
    assert (model.architecture, model.context_length, model.shards) == ("llama", 8192, 1)
    assert (model.bos_id, model.eos_id) == (1, 2)
    assert "<|im_start|>" in model.chat_template and not model.is_base
    assert len(model.vocabulary) == 49152
    assert model.vocabulary.special == known_model("smollm2-135m-instruct").special_tokens
    assert model.vocabulary.longest_token_bytes == 81
    assert model.vocabulary.covers_bytes
    known = [t in model.vocabulary.tokens for t in ("Ġthanks", "thanks", "Ċ", "Ġqzqz", "Ã©")]
    assert known == [True, False, True, False, True]


def test_a_vocabulary_is_read_fast(local_weights):
    def once():
        start = time.thread_time()
        read_gguf(local_weights)
        return time.thread_time() - start

    assert min(once() for _ in range(5)) < 0.1


def test_a_model_without_anything(file):
    model = read_gguf(file(gguf([("general.architecture", string("x"))])))
    assert model.is_base and model.context_length is None
    assert model.vocabulary.special == () and model.vocabulary.longest_token_bytes == 1
    assert len(model.vocabulary) == 0


def test_special_tokens_are_control_and_markup_only(file):
    tokens = [
        ("<unk>", 2),
        ("<bos>", 3),
        ("<0x0A>", 6),
        ("   ", 4),
        ("\n\n", 4),
        ("<table>", 4),
        ("[toolbox]", 4),
        ("[a b]", 4),
        ("<unused7>", 5),
        ("<b>", 1),
        ("<|eot_id|>", 1),
        ("<end_of_turn>", 1),
        ("[EOS]", 1),
        ("list[int]", 1),
        ("▁wrong", 1),
        ("", 3),
    ]
    words = read_gguf(file(gguf(vocabulary("llama", tokens)))).vocabulary
    assert words.special == (
        "<end_of_turn>",
        "<|eot_id|>",
        "[toolbox]",
        "<table>",
        "<bos>",
        "<unk>",
        "[EOS]",
    )
    assert "▁wrong" in words.tokens
    assert words.longest_token_bytes == len("<end_of_turn>")


def test_other_tokenizers_do_not_bound_the_length(file):
    assert not read_gguf(file(gguf(vocabulary("bert", [("a", 1)])))).vocabulary.covers_bytes


def test_a_file_without_token_types(file):
    model = read_gguf(file(gguf(vocabulary("gpt2", [("a", 1), ("<|im_end|>", 1)])[:2])))
    assert model.vocabulary.special == ("<|im_end|>",)


HUGE = struct.pack("<Q", 1 << 62)
HOSTILE = {
    "empty": b"",
    "another format": b"\x80\x02}q\x00" * 20,
    "magic only": b"GGUF",
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "version 1": gguf([], version=1),
    "keys that are not there": gguf([], keys=3),
    "as many keys as can be stated": gguf([], keys=(1 << 64) - 1),
    "a huge key": gguf([], keys=1) + HUGE + b"x" * 100,
    "a huge string": gguf([], keys=1) + text("a") + struct.pack("<I", STRING) + HUGE + b"x" * 100,
    "a huge array of strings": gguf([], keys=1)
    + text("tokenizer.ggml.tokens")
    + struct.pack("<II", ARRAY, STRING)
    + HUGE
    + b"x" * 100,
    "a huge array of bytes": gguf([], keys=1)
    + text("a")
    + struct.pack("<II", ARRAY, UINT8)
    + struct.pack("<Q", 1 << 40)
    + b"x" * 100,
    "an array of arrays": gguf([("a", struct.pack("<IIQ", ARRAY, ARRAY, 1))]) + b"x" * 100,
    "an unknown type": gguf([("a", struct.pack("<I", 99))]) + b"x" * 100,
    "one key twice": gguf([("a", uint32(1)), ("a", uint32(2))]),
    "too few token types": gguf(
        [
            ("tokenizer.ggml.tokens", array(STRING, [text("a"), text("b")])),
            ("tokenizer.ggml.token_type", array(INT32, [struct.pack("<i", 1)])),
        ]
    ),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_malformed_file_is_refused_by_name(file, content):
    path = file(content)
    with pytest.raises(UsageError, match=r"model\.gguf is not a usable GGUF file: .*again"):
        read_gguf(path)


def test_metadata_without_end_is_refused(tmp_path):
    path = tmp_path / "sparse.gguf"
    start = gguf([], keys=2) + text("a") + struct.pack("<IIQ", ARRAY, UINT8, 1 << 29)
    with path.open("wb") as out:
        out.write(start)
        out.truncate(1 << 30)
    with pytest.raises(UsageError, match=r"claims|larger than"):
        read_gguf(path)


def test_every_cut_is_refused_or_harmless(file):
    tokens = [("<s>", 3), ("▁a", 1), ("b", 1)]
    whole = gguf([*vocabulary("llama", tokens), ("llama.context_length", uint32(5))])
    for end in range(len(whole)):
        with pytest.raises(UsageError):
            read_gguf(file(whole[:end]))


def test_flipped_bytes_never_crash(file):
    whole = gguf(vocabulary("llama", [("<s>", 3), ("▁a", 1), ("b", 1)]))
    rng = random.Random(0)
    for _ in range(500):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        try:
            model = read_gguf(file(bytes(content)))
        except UsageError:
            continue
        assert len(model.vocabulary.special) <= len(model.vocabulary)
        assert model.vocabulary.longest_token_bytes >= 1


def test_a_missing_file(tmp_path):
    with pytest.raises(UsageError, match=r"nothing\.gguf: No such file"):
        read_gguf(tmp_path / "nothing.gguf")
    with pytest.raises(UsageError, match="Is a directory"):
        read_gguf(tmp_path)
