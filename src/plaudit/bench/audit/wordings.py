"""The instructions of the shipped templates in other words that ask for the same."""

from collections.abc import Mapping

_Change = tuple[str, str]

_WORDINGS: Mapping[str, tuple[_Change, ...]] = {
    "feedback.chat": (
        ("You read how users react to an assistant's answers. You are given what a user asked, "
         "what the assistant answered, and what the user wrote next. Decide what the user's next "
         "message says about the answer:",
         "Here are a user's message, the answer of an assistant, and the message that the user "
         "sent after it. Find out what that last message shows about the answer:"),
        ("Judge the user's next message, not the answer itself.",
         "Look at the reaction of the user and leave the quality of the answer aside."),
    ),
    "feedback.completion": (
        ("Each record below shows what a user asked, what an assistant answered, what the user "
         "wrote next, and ",
         "Every record here holds the question of a user, the reply of an assistant, the next "
         "message of the user, and "),
        ("how the user reacted.", "in which way the user took the reply."),
    ),
    "pairwise.chat": (
        ("You compare two responses to the same conversation, A and B, and decide which one "
         "serves the user better.",
         "Two responses, A and B, were written for one conversation. Say which of them helps the "
         "user more."),
        ("What counts, in this order: following the instructions, being right, being useful, "
         "being clear. Length, politeness, format and which one comes first do not count.",
         "Look first at whether the instructions are followed, then at correctness, then at "
         "usefulness, then at clarity. Pay no attention to length, manners, layout or order."),
    ),
    "pairwise.completion": (
        ("A careful reader compares two responses, A (the first) and B (the second), and says "
         "which serves the user better: first, second or equal. Following the instructions and "
         "being right count; length and order do not.",
         "Two responses stand side by side, A (the first) and B (the second), and an attentive "
         "reader names the one that helps the user more: first, second or equal. Correctness and "
         "obedience to the instructions matter; length and place are of no matter."),
    ),
    "pointwise.chat": (
        ("You grade the assistant's last response in a conversation on a scale from 1 to 10.",
         "Give the last response of the assistant in a conversation a mark between 1 and 10."),
        ("Judge what is there: length, tone and self-praise earn nothing.",
         "Go by what is in it: nobody gains by length, by manner or by praise of the own work."),
    ),
    "pointwise.completion": (
        ("A careful reader grades responses from one (wrong, off the point or empty) over five "
         "(helps in part) to ten (right, complete and clear). Length and tone earn nothing.",
         "An attentive reader marks responses: ten is right, complete and clear, five is some "
         "help, one is wrong, empty or beside the point. Nothing is gained by length or manner."),
    ),
    "verify.chat": (
        ("You check whether an answer is correct, given a question and one or more reference "
         "answers that are known to be correct.",
         "A question comes with one or more reference answers, which are certainly correct. Find "
         "out whether the answer that was given is correct too."),
        ("An answer is correct if it says the same as at least one reference, in whatever words, "
         "language, format or unit.",
         "It is correct when its meaning is that of one reference or more; words, language, "
         "format and unit may differ."),
    ),
    "verify.completion": (
        ("Each answer is checked against reference answers that are known to be correct. It is "
         "right if it says the same as a reference, in whatever words, and wrong otherwise.",
         "The reference answers below are known to be correct, and every answer is held against "
         "them. An answer with the meaning of a reference, however it is put, is right; any other "
         "one is wrong."),
    ),
}  # fmt: skip
"""By the name of a template: sentences, and the same in other words."""


def reworded(name: str, source: str) -> str | None:
    """Return the text of a shipped template with its instructions in other words.

    Args:
        name: of the template, such as `verify.chat`.
        source: its text.

    Returns:
        None where it is not the shipped one, so that a sentence is not in it.
    """
    changes = _WORDINGS.get(name, ())
    for sentence, other in changes:
        if sentence not in source:
            return None
        source = source.replace(sentence, other)
    return source if changes else None
