"""Prompt and response as one text, as trainers send them: cut where that is certain, else not."""

import re

_BEGINNING = re.compile(r"(?:<[|\w\uff5c][^<>\s]{0,40}>|\[[gs]?[A-Z][A-Z0-9_]{2,}\])")
"""A special token, such as one that begins a sequence."""
_MOST_BEGINNINGS = 4
_END = re.compile(
    r"(?:<\|[\w.-]{1,40}\|>|<\uff5c[^<>\s]{1,40}\uff5c>|<(?:/s|eos|pad|end_of_turn|EOS_TOKEN|PAD)>)\Z"
)
"""A special token at the end of a text: of the turn's end, or padding."""
_LONGEST_END = 64
_TURNS = (
    # ChatML: Qwen, SmolLM, Hermes, InternLM, Yi.
    (re.compile(r"<\|im_start\|>assistant\n"), re.compile(r"<\|im_start\|>user\n")),
    # Llama 3.
    (
        re.compile(r"<\|start_header_id\|>assistant<\|end_header_id\|>\n\n"),
        re.compile(r"<\|start_header_id\|>user<\|end_header_id\|>\n\n"),
    ),
    # Gemma.
    (re.compile(r"<start_of_turn>model\n"), re.compile(r"<start_of_turn>user\n")),
    # Phi, GLM, Zephyr.
    (re.compile(r"<\|assistant\|>\n?"), re.compile(r"<\|user\|>\n?")),
    # Llama 2, Mistral.
    (re.compile(r"\[/INST\] ?"), re.compile(r"\[INST\] ?")),
    # DeepSeek.
    (re.compile("<\uff5cAssistant\uff5c>"), re.compile("<\uff5cUser\uff5c>")),
)
"""What begins a turn of the assistant, and of the user, in rendered chats."""


def without_end(text: str) -> str:
    """Return a response without the special tokens at its end."""
    kept = text
    while True:
        tail = kept.rstrip()
        found = _END.search(tail, max(0, len(tail) - _LONGEST_END))
        if found is None:
            return kept
        kept = tail[: found.start()]


def cut_after(text: str, prompt: str) -> str | None:
    """Return what follows a prompt in a text; None where the text does not begin with the prompt.

    Before the prompt may stand special tokens, which tokenizers put at the beginning.
    """
    if not prompt:
        return None
    for _ in range(_MOST_BEGINNINGS):
        if text.startswith(prompt):
            return without_end(text[len(prompt) :])
        beginning = _BEGINNING.match(text)
        if beginning is None:
            return None
        text = text[beginning.end() :]
    return None


def cut_chat(text: str) -> tuple[str, str] | None:
    """Return question and response of a chat of one turn that a known template rendered.

    None where no known template fits, or there are several turns of the assistant: then earlier
    ones belong to the prompt, or the model forged them, and the text does not say which.
    """
    found: list[tuple[str, str]] = []
    for assistant, user in _TURNS:
        parts = assistant.split(text)
        if len(parts) == 1:
            continue
        asked = user.split(parts[0])
        if len(parts) != 2 or len(asked) != 2 or user.search(parts[1]):
            return None
        found.append((without_end(asked[1]).strip(), without_end(parts[1])))
    return found[0] if len(found) == 1 else None
