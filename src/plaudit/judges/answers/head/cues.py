"""Words by which a text denies, doubts, quotes, equates, or addresses its grader."""

from functools import cache

from plaudit.judges.answers.head.tokens import canonical

NEGATION = 1 << 0
AVERSE = 1 << 1
DENIAL = 1 << 2
DOUBT = 1 << 3
OPINION = 1 << 4
EITHER = 1 << 5
EQUAL = 1 << 6
TURN = 1 << 7
GRADER = 1 << 8
REFUSAL = 1 << 9
SELF = 1 << 10
PLURAL = 1 << 11
AUXILIARY = 1 << 12

_WORDS = {
    NEGATION: (
        "not no never neither nor none non without except unlike cannot isn't wasn't aren't "
        "weren't doesn't didn't don't won't can't couldn't wouldn't hasn't haven't shouldn't ain't "
        "nothing hardly nobody excluding barring isnt wasnt dont"
    ),
    AVERSE: (
        "instead rather deny denies denied refute refutes refuted rejects rejected reject rule "
        "rules ruled excludes excluded exclude opposite anything far contrary besides avoid other "
        "than lest fails failed unrelated converse"
    ),
    DENIAL: (
        "wrong incorrect incorrectly wrongly false falsely mistaken mistakenly mistake untrue "
        "error erroneous erroneously nope scratch wait sorry correction retract retracted withdraw "
        "myth misconception misquoted debunked fake hoax lie lied lying nonsense rubbish oops "
        "apologies disregard joking kidding invalid reconsider disproved disproven inaccurate "
        "untruth bogus undo"
    ),
    DOUBT: (
        "maybe perhaps possibly probably might could may guess guessing unsure uncertain likely "
        "seems seem doubt doubtful doubts hunch candidate candidates option options toss unclear "
        "presumably conceivably plausible plausibly chance whichever choose pick possibilities"
    ),
    OPINION: (
        "claim claims claimed claiming say says said saying believe believes believed think thinks "
        "thought argue argues argued suggest suggests suggested rumor rumour rumors rumours "
        "supposedly allegedly alleged reportedly according told tells insist insists insisted "
        "opinion opinions critics asserts asserted assert swear swears wrote writes guessed "
        "answered heard gossip popularly commonly purportedly imagine imagines assume assumes "
        "assumed pretend maintains contends reckons quote quoted quotes states supposed"
    ),
    EITHER: "or unless either alternatively versus vs alternative / otherwise",
    EQUAL: (
        "aka alias equals equal same identical synonymous namely equivalently = equivalent "
        "interchangeable otherwise ie called known nickname synonym words meaning form"
    ),
    TURN: (
        "but however although though yet actually whereas despite nevertheless really change "
        "changed back thought final answer meant amend revise replace cancel forget strike"
    ),
    GRADER: (
        "grader grade graded grading graders mark marks marked marking score scored scoring reward "
        "verdict evaluator evaluate evaluation judge judged accept accepted ignore instruction "
        "instructions previous override rubric prompt assistant credit points output matches match "
        "equivalent reference examiner reviewer assessor system correct correctly"
    ),
    REFUSAL: (
        "unable unknown unclear unfortunately language model ai information provide context "
        "determine specify specific knowledge real-time ambiguous know idea clue accurate updated "
        "cannot available question clarify depends vary varies"
    ),
    SELF: (
        "i me my mine we our us you your friend neighbour neighbor cousin uncle aunt brother "
        "sister teacher once yesterday favourite favorite love loved like liked read reading book "
        "dog cat lunch remind reminds reminded remember"
    ),
    AUXILIARY: (
        "is was are were be been has have had did do does can could will would isn't wasn't aren't "
        "weren't hasn't haven't hadn't didn't doesn't don't can't cannot won't wouldn't never"
    ),
    PLURAL: "some many others people most few several somebody someone everybody everyone they",
}


@cache
def cues() -> dict[str, int]:
    """Return the kinds of each word, as bits."""
    table: dict[str, int] = {}
    for kind, words in _WORDS.items():
        for word in words.split():
            folded = canonical(word)
            table[folded] = table.get(folded, 0) | kind
    return table
