"""A client with a memory: the reply cache, and identical requests sent once."""

import asyncio
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, NoReturn, cast

import msgspec

from plaudit._util.options import Help
from plaudit.engines.base import Completion, Request
from plaudit.errors import Cause, NoLogprobsError, ReplyError
from plaudit.judges.json_reply import REPAIR
from plaudit.judges.readout import options_of
from plaudit.sending.budget import Attempt, RetryBudget
from plaudit.sending.pool import Pool, PoolShare
from plaudit.store.base import ResultStore
from plaudit.types import Failure, Message, Sample, Usage

_KEY_VERSION = 2


class CachePolicy(msgspec.Struct, frozen=True):
    """How stored replies are used."""

    read: Annotated[
        bool,
        Help("Ask everything again, and keep the new replies.", "Store", flags=("--fresh",)),
    ] = True
    write: Annotated[
        bool, Help("Neither read nor keep replies.", "Store", flags=("--no-cache",))
    ] = True
    """Without it, the command line does not read stored replies either."""
    retry_invalid: Annotated[bool, Help("Ask again where a stored reply is unusable.", "Store")] = (
        False
    )


class RequestKeys:
    """Computes request keys: all that can change a reply, and nothing else, in 16 bytes.

    What a run's requests have in common is hashed once, which changes no key.
    """

    def __init__(self, identity: str) -> None:
        """Make keys for the requests to one model."""
        self._identity = identity
        self._encode = msgspec.msgpack.Encoder().encode
        self._like: Request | None = None
        self._begun = hashlib.blake2b()
        self._opening: Sequence[Message] | str = ()

    def key(self, request: Request) -> bytes:
        """Return the key of a request."""
        like, prompt, shared = self._like, request.prompt, request.shared
        if (
            like is None
            or request.sampling is not like.sampling
            or request.schema is not like.schema
            or request.options is not like.options
            or request.logprobs != like.logprobs
            or request.keep != like.keep
            or prompt[:shared] != self._opening
        ):
            self._begin(request)
        hasher = self._begun.copy()
        self._add(hasher, prompt[shared:])
        # With the length, so that no text can pass for another one and a number.
        hasher.update(b"%d %d" % (request.draw, len(request.prompt)))
        if request.continuation:  # Ends as no key without one does.
            hasher.update(b"%s continued" % request.continuation.encode())
        if request.tools or request.prompt_ids or request.trace_tokens:
            hasher.update(self._rollout_part(request))
        return hasher.digest()

    def _rollout_part(self, request: Request) -> bytes:
        """Return what is added for tools and token ids; its end says how long it is."""
        # The schema as bytes: encoded as it is, it could spell what comes after it.
        tools = [(tool.name, tool.description, bytes(tool.parameters)) for tool in request.tools]
        part = self._encode((tools, request.prompt_ids, request.trace_tokens))
        return part + b" %d traced" % len(part)

    def _begin(self, request: Request) -> None:
        """Hash what the request has in common with those that come."""
        self._like, self._opening = request, request.prompt[: request.shared]
        settings = (
            _KEY_VERSION,
            self._identity,
            request.mode,
            request.sampling,
            request.logprobs,
            request.options,
            request.keep,
            request.schema,
        )
        self._begun = hashlib.blake2b(self._encode(settings), digest_size=16)
        self._add(self._begun, self._opening)

    def _add(self, hasher: "hashlib.blake2b", part: str | Sequence[Message]) -> None:
        """Hash a part of a prompt; parts one after the other give what the whole gives."""
        if isinstance(part, str):
            hasher.update(part.encode("utf-8", "surrogatepass"))
            return
        for message in part:
            hasher.update(self._encode(message))


def trim(completion: Completion, request: Request) -> Completion:
    """Keep the candidates that name an option, the first few, and the smallest one's value."""
    shown = completion.logprobs
    if not shown or len(shown) <= request.keep:
        return completion
    rest = shown[request.keep :]
    named = options_of([candidate.token for candidate in rest], request.options)
    kept = shown[: request.keep] + tuple(
        candidate for candidate, option in zip(rest, named, strict=True) if option is not None
    )
    floor = completion.logprob_floor
    floor = shown[-1].logprob if floor is None else floor
    return msgspec.structs.replace(completion, logprobs=kept, logprob_floor=floor)


def unusable_reply(error: ReplyError) -> Completion:
    """Return what is stored in place of a reply of no use."""
    none = isinstance(error, NoLogprobsError)
    problem = Failure(error.cause, str(error))
    return Completion(text="", logprobs=None if none else (), problem=problem)


def _refuse(completion: Completion, problem: Failure) -> NoReturn:
    """Raise the `ReplyError` that a completion of no use stands for."""
    if problem.cause is Cause.OPTIONS_NOT_VISIBLE and completion.logprobs is None:
        raise NoLogprobsError(problem.message)
    raise ReplyError(problem.cause, problem.message)


class _Wanted:
    """A reply that is not stored and that samples want."""

    def __init__(self) -> None:
        self.users = 0
        """Samples that may ask for it; while there are any, it is kept in memory."""
        self.asked = False
        self.completion: Completion | None = None
        self.waiting: list[asyncio.Future[Completion | None]] = []

    def settle(self, completion: Completion | None, error: Exception | None = None) -> None:
        """Wake the waiting samples. With neither: nobody asks any more, and one of them must."""
        self.asked = False
        self.completion = completion
        waiting, self.waiting = self.waiting, []
        for future in [one for one in waiting if not one.done()]:
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(completion)


class Lookup(msgspec.Struct, frozen=True):
    """A sample, what is asked about it, and what the store knows already."""

    sample: Sample
    requests: Sequence[Request]
    keys: Sequence[bytes]
    stored: Mapping[bytes, Completion]
    """Replies that may be used; shared with other questions."""


class CachedClient:
    """Answers requests from the store or the engine, and counts."""

    def __init__(
        self,
        pool: Pool | PoolShare,
        identity: str,
        store: ResultStore | None,
        policy: CachePolicy,
        *,
        keep_problems: bool = True,
    ) -> None:
        """Join a pool and a store.

        Args:
            pool: sends requests.
            identity: of the model.
            store: where replies are kept; None: nowhere.
            policy: how stored replies are used.
            keep_problems: whether refusals and other replies of no use are kept too.
        """
        self.pool = pool
        self._keep_problems = keep_problems
        self.policy = policy
        self.usage = Usage()
        """Tokens of the replies that were asked for, cached ones left out."""
        self.found = 0
        """Replies that were found in the store."""
        self.key = RequestKeys(identity).key
        self._read_from = store if policy.read else None
        self._written_to = store if policy.write else None
        self._wanted: dict[bytes, _Wanted] = {}

    @property
    def memory(self) -> ResultStore | None:
        """The store, where stored replies may be used and new ones are kept."""
        return self._written_to if self.policy.read else None

    @property
    def keeps(self) -> bool:
        """Whether new replies go into the store."""
        return self._written_to is not None

    @property
    def kept(self) -> int:
        """Replies that are wanted, or kept in memory for samples under way."""
        return len(self._wanted)

    def look_up(self, samples: Iterable[tuple[Sample, Sequence[Request]]]) -> list[Lookup]:
        """Look up everything that is asked about some samples at once."""
        stored: dict[bytes, Completion] = {}
        questions = [
            Lookup(sample, requests, list(map(self.key, requests)), stored)
            for sample, requests in samples
        ]
        keys = [key for question in questions for key in question.keys]
        if self._read_from is not None:
            stored.update(self._read_from.get_replies(keys))
            self.found += len(stored)
        if len(stored) < len(keys):
            for key in keys:
                if key not in stored:
                    self._want(key)
        return questions

    def release(self, question: Lookup) -> None:
        """Forget what was kept for a sample that is finished."""
        for key in question.keys:
            if key not in question.stored:
                self._unwant(key)

    async def complete(self, key: bytes, request: Request, budget: RetryBudget) -> Completion:
        """Return a completion; its request is sent unless another sample's reply will do.

        Its `problem` says whether it is of no use, where such are kept.

        Raises:
            CallError: no reply came, to this sample's request or to the one it shared.
            ReplyError: what came is of no use, where such are not kept.
            EngineUnusableError: no request can succeed.
        """
        wanted, asking = self._want(key), False
        try:
            while wanted.asked:
                future: asyncio.Future[Completion | None]
                future = asyncio.get_running_loop().create_future()
                wanted.waiting.append(future)
                await future
            if wanted.completion is None:
                wanted.asked = asking = True
                completion = await self._ask(request, budget)
                self.usage += completion.usage
                if self._written_to is not None:
                    self._written_to.put_reply(key, completion)
                wanted.settle(completion)
            return cast("Completion", wanted.completion)
        except BaseException as error:
            if asking:
                wanted.settle(None, error if isinstance(error, Exception) else None)
            raise
        finally:
            self._unwant(key)

    async def _ask(self, request: Request, budget: RetryBudget) -> Completion:
        try:
            completion = await self.pool.complete(request, budget)
            return trim(completion, request) if completion.logprobs else completion
        except ReplyError as error:
            if not self._keep_problems:
                raise
            return unusable_reply(error)

    def stored(self, key: bytes) -> Completion | None:
        """Return what the store has under a key that was not looked up before."""
        return None if self._read_from is None else self._read_from.get_reply(key)

    def _want(self, key: bytes) -> _Wanted:
        wanted = self._wanted.get(key)
        if wanted is None:
            wanted = self._wanted[key] = _Wanted()
        wanted.users += 1
        return wanted

    def _unwant(self, key: bytes) -> None:
        wanted = self._wanted[key]
        wanted.users -= 1
        if not wanted.users:
            del self._wanted[key]


class SampleClient:
    """Asks for one sample, and remembers which replies it got and from where.

    What is asked at once may be asked, and answered, in any order; what is remembered does not
    depend on it.
    """

    def __init__(
        self, client: CachedClient, question: Lookup | None = None, *, fresh: bool = False
    ) -> None:
        """Start a sample; with `fresh`, stored replies are passed over."""
        self._client = client
        self._question = question
        self._fresh = fresh
        self._asked: list[Request] = []
        self._answered: dict[int, bytes] = {}
        self._budgets: dict[int, RetryBudget] = {}
        self.hits = 0

    async def __call__(self, request: Request) -> Completion:
        """Answer one request of the sample.

        Raises:
            CallError: no reply came.
            ReplyError: what came is of no use, now or when it was stored.
            EngineUnusableError: no request can succeed.
        """
        number = len(self._asked)
        self._asked.append(request)
        key, completion = self._look_up(request)
        if completion is None:
            completion = await self._client.complete(key, request, self.budget(request.draw))
        else:
            self.hits += 1
        self._answered[number] = key
        if completion.problem is not None:
            _refuse(completion, completion.problem)
        return completion

    def gains_at_once(self, requests: Sequence[Request]) -> bool:
        """Whether asking requests at once is faster than one after the other.

        Not where all replies are stored, and not where other samples keep every slot busy: there a
        task for each would only cost time.
        """
        if self._client.pool.busy:
            return False
        return any(self._look_up(request)[1] is None for request in requests)

    def budget(self, draw: int) -> RetryBudget:
        """Return what a draw may spend on retries: each has as much as a sample without votes."""
        if draw not in self._budgets:
            self._budgets[draw] = self._client.pool.budget()
        return self._budgets[draw]

    @property
    def requests(self) -> list[Request]:
        """What was asked, draw by draw."""
        return [self._asked[number] for number in self._in_order(range(len(self._asked)))]

    @property
    def keys(self) -> list[bytes]:
        """Keys of the replies that came, draw by draw."""
        if len(self._answered) < 2:
            return list(self._answered.values())
        return [self._answered[number] for number in self._in_order(self._answered)]

    @property
    def failed(self) -> list[Attempt]:
        """Attempts that brought nothing, draw by draw."""
        if not self._budgets:
            return []
        return [attempt for _, budget in sorted(self._budgets.items()) for attempt in budget.failed]

    @property
    def from_store(self) -> bool:
        """Whether everything that was asked came from the store."""
        return 0 < self.hits == len(self._asked)

    def _in_order(self, numbers: Collection[int]) -> Iterable[int]:
        if len(numbers) < 2 or self._question is None:
            return numbers
        turns = {request.turn: n for n, request in enumerate(self._question.requests)}

        def place(number: int) -> tuple[int, int, str]:
            request = self._asked[number]
            return request.draw, turns.get(request.turn.removesuffix(REPAIR), -1), request.turn

        return sorted(numbers, key=place)

    def _look_up(self, request: Request) -> tuple[bytes, Completion | None]:
        question = self._question
        if question is not None:
            for known, key in zip(question.requests, question.keys, strict=True):
                if known is request:
                    return key, None if self._fresh else question.stored.get(key)
        key = self._client.key(request)
        return key, None if self._fresh else self._client.stored(key)
