"""Everything that plaudit raises, and every cause that an outcome can have.

::

    PlauditError
    ├── UsageError              the caller asked for something that cannot be done   (exit status 2)
    │   ├── ArgumentError       an argument has a value that it cannot have
    │   ├── InputError          the input cannot be used
    │   ├── TemplateError       a prompt template cannot be used
    │   ├── ToolsRefusedError   the engine takes no tools
    │   └── MissingDependencyError  an extra is not installed
    ├── InterruptedRunError     the user stopped the run; it can go on             (exit status 130)
    ├── StoreError              the store or the output cannot be used               (exit status 2)
    ├── EngineUnusableError     no request to this engine can succeed                (exit status 3)
    ├── ServiceError            a training service refused, did not answer, or its job failed
    ├── CallError               one request got no reply        -> status "failed"
    └── ReplyError              a reply came and cannot be used -> status "invalid"
        ├── EmptyMaskError      none of its tokens was written by the model
        └── NoLogprobsError     log-probabilities were asked for and the reply has none

`CallError` and `ReplyError` concern one sample: the runner turns them into that sample's verdict
and goes on. All others end the run.
"""

from enum import StrEnum


class Cause(StrEnum):
    """Why a judgement is not `ok`. The only list of causes; names are stable and stored."""

    # No reply came: `failed`, asked again by the next run.
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    BAD_RESPONSE = "bad_response"
    BAD_REQUEST = "bad_request"
    CONTEXT_OVERFLOW = "context_overflow"
    EXPIRED = "expired"
    CANCELED = "canceled"
    # A reply came and is unusable: `invalid`, read again from the store, asked again on request. So
    # is `bad_response` as a `ReplyError`: what should be log-probabilities cannot be.
    REFUSED = "refused"
    CUT_OFF = "cut_off"
    UNPARSEABLE = "unparseable"
    AMBIGUOUS = "ambiguous"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_OPTION = "unknown_option"
    OPTIONS_NOT_VISIBLE = "options_not_visible"
    LOW_OPTION_MASS = "low_option_mass"
    # The judge answered, and the answer must not be learned from: `abstained`.
    BELOW_GATE = "below_gate"
    TOPIC_SHIFT = "topic_shift"
    ORDER_CONFLICT = "order_conflict"
    UNDECIDED_VOTES = "undecided_votes"
    JURY_TIE = "jury_tie"
    UNDECIDED = "undecided"


class PlauditError(Exception):
    """Base of all errors that plaudit raises on purpose. They survive pickling and copying."""

    exit_status = 1

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle past `__init__`, which in a subclass takes more than the message."""
        return Exception.__new__, (type(self), *self.args), self.__dict__


class UsageError(PlauditError):
    """The caller asked for something that cannot be done; the message says what to do instead."""

    exit_status = 2


class ArgumentError(UsageError):
    """An argument, or an option of the command line, has a value that it cannot have.

    Attributes:
        argument: its name in Python.
        problem: what is wrong, to be read after the name.
    """

    def __init__(self, argument: str, problem: str) -> None:
        super().__init__(f"{argument} {problem}")
        self.argument = argument
        self.problem = problem

    @property
    def as_option(self) -> str:
        """The message with the name of the command line's option."""
        name = self.argument
        option = name if name.startswith("-") else f"--{name.replace('_', '-')}"
        return f"{option} {self.problem}"


class InputError(UsageError):
    """The input, or one row of it, cannot be used; the message names file and line."""


class TemplateError(UsageError):
    """A prompt template cannot be used; the message names file and line."""


class ToolsRefusedError(UsageError):
    """The engine takes no tools; calls can be written as text instead."""


class MissingDependencyError(UsageError):
    """An optional package is missing."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed. Install it with: pip install 'plaudit[{extra}]'"
        )


class InterruptedRunError(PlauditError):
    """The user stopped the run; the same command goes on where it stopped."""

    exit_status = 130


class StoreError(PlauditError):
    """The store or the output cannot be read or written."""

    exit_status = 2


class EngineUnusableError(PlauditError):
    """No request to this engine can succeed: bad key, unknown model, nothing listens.

    Attributes:
        outage: whether it may succeed later, since the endpoint merely does not answer.
    """

    exit_status = 3

    def __init__(self, message: str, *, outage: bool = False) -> None:
        super().__init__(message)
        self.outage = outage


class ServiceError(PlauditError):
    """A service that trains refused, did not answer, or its job failed."""


class CallError(PlauditError):
    """One request got no reply.

    Attributes:
        cause: why.
        retryable: whether the same request may succeed when sent again.
        retry_after: seconds that the server asked to wait, or None.
        attempts: how many times the request was sent.
    """

    def __init__(
        self,
        cause: Cause,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.retryable = retryable
        self.retry_after = retry_after
        self.attempts = attempts


class ReplyError(PlauditError):
    """A reply came and cannot be used.

    Attributes:
        cause: why.
    """

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class EmptyMaskError(ReplyError):
    """None of the tokens of a conversation was written by the model: nothing to learn from."""

    def __init__(self, message: str) -> None:
        super().__init__(Cause.CUT_OFF, message)


class NoLogprobsError(ReplyError):
    """Log-probabilities were asked for, and the reply has none at all: the server ignores that."""

    def __init__(self, message: str) -> None:
        super().__init__(Cause.OPTIONS_NOT_VISIBLE, message)
