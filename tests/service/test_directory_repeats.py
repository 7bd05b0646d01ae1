"""What the directory tries again, how long it waits, and what it leaves to others."""

import asyncio
from collections.abc import Awaitable, Callable
from email.utils import format_datetime

import pytest

from shared.catalogue import BY_TYPE
from shared.errors import (
    BadRequestError,
    ConflictError,
    GraphError,
    NoAnswerError,
    NotFoundError,
    NotPermittedError,
    ThrottledError,
    TokenError,
    UnauthenticatedError,
    UnavailableError,
)
from shared.graph import GraphDirectory
from shared.model import Method, ReferenceKind, UserReference
from shared.vocabulary import MethodId, MethodType, Removal
from tests.service.graph_script import (
    NOW,
    USER,
    USER_ID,
    Asked,
    Credential,
    RecordingClock,
    Reply,
    page,
    refusal,
    scene,
)

type Act = Callable[[GraphDirectory], Awaitable[object]]

FOUND = Reply(body=USER)
DONE = Reply(204)


async def read(directory: GraphDirectory) -> object:
    """Read something."""
    return await directory.find_user(UserReference(ReferenceKind.OBJECT_ID, USER_ID))


async def change(directory: GraphDirectory) -> None:
    """Change something."""
    await directory.disable_account(USER_ID)


EITHER = pytest.mark.parametrize("act", [read, change])


@EITHER
@pytest.mark.parametrize("header", ["7", format_datetime(NOW.replace(second=10), usegmt=True)])
async def test_call_when_throttled_then_waits_as_told(act: Act, header: str) -> None:
    """`Retry-After` is kept to the second, in both of its forms; each try has a request id of its own."""
    async with scene([refusal(429, retry_after=header), FOUND]) as here:
        await act(here.directory)
        assert here.clock.slept == [7]
        assert [(report.status, report.attempt) for report in here.reports] == [(429, 1), (200, 2)]
        assert len({report.client_request_id for report in here.reports}) == 2


@EITHER
@pytest.mark.parametrize("header", ["21", "3600"])
async def test_call_when_told_to_wait_too_long_then_raises_at_once(act: Act, header: str) -> None:
    """What does not fit into 20 s is for a later delivery, which learns how long."""
    async with scene([refusal(429, retry_after=header)]) as here:
        with pytest.raises(ThrottledError) as caught:
            await act(here.directory)
        assert caught.value.retry_after_seconds == float(header)
        assert (here.clock.slept, len(here.graph.asked)) == ([], 1)


@EITHER
@pytest.mark.parametrize(("status", "error"), [(429, ThrottledError), (500, UnavailableError), (503, UnavailableError)])
async def test_call_when_it_stays_down_then_five_tries(act: Act, status: int, error: type[GraphError]) -> None:
    """Without `Retry-After` the waits double from a second, each with a quarter of jitter at most."""
    async with scene([refusal(status)]) as here:
        with pytest.raises(error):
            await act(here.directory)
        assert len(here.graph.asked) == 5
        for wait, base in zip(here.clock.slept, (1, 2, 4, 8), strict=True):
            assert base <= wait <= base * 1.25
        assert [report.attempt for report in here.reports] == [1, 2, 3, 4, 5]


async def test_call_when_waits_add_up_then_twenty_seconds_are_the_end() -> None:
    """The budget is for the whole call, not for each wait."""
    async with scene(
        [refusal(429, retry_after="9"), refusal(429, retry_after="11"), refusal(429, retry_after="1")]
    ) as here:
        with pytest.raises(ThrottledError):
            await read(here.directory)
        assert here.clock.slept == [9, 11]


async def test_call_when_pages_are_throttled_then_they_share_the_budget() -> None:
    """Several pages of one collection are one call of the port."""
    pages = 0

    def answer(asked: Asked) -> Reply:
        nonlocal pages
        pages += 1
        if pages % 2:
            return refusal(429, retry_after="8")
        return page(link=f"http://{asked.headers['Host']}/v1.0/page?number={pages}")

    async with scene(answer) as here:
        with pytest.raises(ThrottledError):
            await here.directory.find_user(UserReference(ReferenceKind.SECURITY_IDENTIFIER, "s-1"))
        assert here.clock.slept == [8, 8]


@pytest.mark.parametrize("failure", [Reply(cut=True), Reply(hang=True)])
async def test_read_when_no_answer_comes_then_it_is_repeated(failure: Reply) -> None:
    """A reading that was cut or timed out is simply read again."""
    async with scene([failure, FOUND], call_seconds=0.3) as here:
        assert await read(here.directory)
        assert [(report.status, report.code) for report in here.reports] == [(None, "NoAnswer"), (200, None)]


@pytest.mark.parametrize("failure", [Reply(cut=True), Reply(hang=True)])
async def test_change_when_no_answer_comes_then_raises_at_once(failure: Reply) -> None:
    """Whether it took effect is for the next listing to tell."""
    async with scene([failure, DONE], call_seconds=0.3) as here:
        with pytest.raises(NoAnswerError) as caught:
            await change(here.directory)
        assert len(here.graph.asked) == 1
        assert caught.value.answer.client_request_id == here.reports[0].client_request_id


async def test_call_when_nobody_listens_then_no_answer() -> None:
    """A connection that is refused is no answer either, and the address is not in the error."""
    async with scene([DONE]) as here:
        url = here.graph.url
    directory = GraphDirectory(url, None, RecordingClock(), credential_factory=Credential().make)
    with pytest.raises(NoAnswerError) as caught:
        await change(directory)
    await directory.close()
    assert "127.0.0.1" not in str(caught.value)


async def test_call_when_answer_trickles_then_thirty_seconds_are_for_the_whole() -> None:
    """A server that sends a byte now and then does not keep a call alive: the time-out is the whole call's."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            writer.write(b" ")
            await asyncio.sleep(0.05)
        writer.close()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        directory = GraphDirectory(url, None, RecordingClock(), credential_factory=Credential().make, call_seconds=0.3)
        with pytest.raises(NoAnswerError):
            await change(directory)
        await directory.close()
        server.close_clients()


async def test_change_when_in_conflict_then_once_more_after_a_second() -> None:
    """Somebody else's change ends soon, or it is for later."""
    async with scene([refusal(409), DONE]) as here:
        await change(here.directory)
        assert here.clock.slept == [1]
    async with scene([refusal(409)]) as here:
        with pytest.raises(ConflictError):
            await change(here.directory)
        assert len(here.graph.asked) == 2


async def test_change_when_in_conflict_after_an_outage_then_still_once_more() -> None:
    """Other failures before it do not use up the one repeat of a conflict."""
    async with scene([refusal(503), refusal(409), DONE]) as here:
        await change(here.directory)
        assert len(here.graph.asked) == 3


async def test_read_when_in_conflict_then_raises_at_once() -> None:
    """Nothing that is read can be in conflict: what that means we do not know."""
    async with scene([refusal(409)]) as here:
        with pytest.raises(ConflictError):
            await read(here.directory)
        assert len(here.graph.asked) == 1


# --- Not found, after all ---------------------------------------------------------------------------------------


async def not_found_by(directory: GraphDirectory, type_: MethodType, removal: Removal = Removal.DELETE) -> bool:
    """Remove a method, which is not found; tell whether an earlier try may have removed it."""
    with pytest.raises(NotFoundError) as caught:
        await directory.remove_method(USER_ID, Method(type_, BY_TYPE[type_].odata_type, MethodId("an-id")), removal)
    assert caught.value.answer.status == 404
    return caught.value.after_uncertain


@pytest.mark.parametrize(
    ("type_", "removal"), [(MethodType.PHONE, Removal.DELETE), (MethodType.HARDWARE_OATH, Removal.DEACTIVATE)]
)
@pytest.mark.parametrize(
    ("statuses", "uncertain"),
    [([], False), ([429], False), ([409], False), ([503], True), ([500], True), ([408], True), ([503, 429, 409], True)],
)
async def test_remove_method_when_not_found_then_says_whether_an_earlier_try_may_have_done_it(
    type_: MethodType, removal: Removal, statuses: list[int], *, uncertain: bool
) -> None:
    """A failed service may have carried it out; what was throttled or in conflict was not."""
    async with scene([*map(refusal, statuses), refusal(404)]) as here:
        assert await not_found_by(here.directory, type_, removal) is uncertain
        assert [report.status for report in here.reports] == [*statuses, 404]


async def test_remove_method_when_not_found_after_there_was_no_token_then_it_was_nobody_of_ours() -> None:
    """Nothing was sent without one."""
    async with scene([refusal(404)], Credential(OSError("no endpoint yet"), failing_times=1)) as here:
        assert await not_found_by(here.directory, MethodType.PHONE) is False


@pytest.mark.parametrize(
    ("statuses", "uncertain"),
    [
        ([404, 404], False),
        ([404, 400], False),
        ([400, 404], False),
        ([429, 404, 404], False),
        ([503, 404, 404], True),
        ([503, 404, 400], True),
        ([503, 400, 404], True),
        ([503, 405, 404], True),
        ([404, 503, 404], True),
        ([404, 503, 400], False),  # gone before that try, whose form of the address was wrong
    ],
)
async def test_remove_method_when_not_found_in_either_form_then_the_tries_of_both_count(
    statuses: list[int], *, uncertain: bool
) -> None:
    """That the first form finds nothing is no uncertainty: it may be the wrong one."""
    async with scene(list(map(refusal, statuses))) as here:
        assert await not_found_by(here.directory, MethodType.EXTERNAL) is uncertain
        assert [report.status for report in here.reports] == statuses


async def test_remove_method_when_called_again_then_earlier_calls_do_not_count() -> None:
    """Each call tells of its own tries only; what came of those before is for the caller to remember."""
    async with scene([refusal(503), refusal(404), refusal(404), refusal(404)]) as here:
        assert await not_found_by(here.directory, MethodType.EXTERNAL) is True
        assert await not_found_by(here.directory, MethodType.PHONE) is False


BEYOND = refusal(429, retry_after="600")


@pytest.mark.parametrize(
    ("replies", "error", "uncertain"),
    [
        ([refusal(400)], BadRequestError, False),
        ([refusal(429), refusal(403)], NotPermittedError, False),
        ([refusal(409), refusal(409)], ConflictError, False),
        ([refusal(503), refusal(400)], BadRequestError, True),
        ([refusal(503), refusal(401)], UnauthenticatedError, True),
        ([refusal(503), refusal(403)], NotPermittedError, True),
        ([refusal(503), refusal(409), refusal(409)], ConflictError, True),
        ([refusal(503), BEYOND], ThrottledError, True),
        ([refusal(503), refusal(503, retry_after="600")], UnavailableError, True),
        ([refusal(503), Reply(cut=True)], NoAnswerError, True),
    ],
)
async def test_remove_method_when_refused_then_says_whether_an_earlier_try_may_have_done_it(
    replies: list[Reply], error: type[GraphError], *, uncertain: bool
) -> None:
    """Whatever the last answer is: it is not all that became of it."""
    assert await ask_in_vain(replies, MethodType.PHONE, error) is uncertain


@pytest.mark.parametrize(
    ("replies", "error", "uncertain"),
    [
        ([refusal(400), refusal(403)], NotPermittedError, False),
        ([refusal(400), refusal(400)], BadRequestError, False),
        ([refusal(503), refusal(400), refusal(403)], NotPermittedError, True),
        ([refusal(503), refusal(405), refusal(400)], BadRequestError, True),
        ([refusal(503), refusal(404), BEYOND], ThrottledError, True),
        ([refusal(404), refusal(503), BEYOND], ThrottledError, True),
    ],
)
async def test_remove_method_when_refused_in_either_form_then_the_tries_of_both_count(
    replies: list[Reply], error: type[GraphError], *, uncertain: bool
) -> None:
    """The second form is one more try of the same call."""
    assert await ask_in_vain(replies, MethodType.EXTERNAL, error) is uncertain


async def ask_in_vain(replies: list[Reply], type_: MethodType, error: type[GraphError]) -> bool:
    """Remove a method, with all of these replies; return whether an earlier try may have done it."""
    method = Method(type_, BY_TYPE[type_].odata_type, MethodId("an-id"))
    async with scene(replies) as here:
        with pytest.raises(error) as caught:
            await here.directory.remove_method(USER_ID, method, Removal.DELETE)
        assert len(here.graph.asked) == len(replies)
        return caught.value.after_uncertain


async def test_list_methods_when_not_found_after_no_answer_then_says_that_too() -> None:
    """A call that was cut is as uncertain as one that failed."""

    def answer(asked: Asked) -> Reply:
        return Reply(cut=True) if "hardware" not in asked.address and len(here.graph.asked) <= 2 else refusal(404)

    async with scene(answer) as here:
        with pytest.raises(NotFoundError) as caught:
            await here.directory.list_methods(USER_ID)
        assert caught.value.after_uncertain is True


# --- Tokens -----------------------------------------------------------------------------------------------------


@EITHER
async def test_call_when_token_is_refused_then_next_call_has_another(act: Act) -> None:
    """401 is not repeated, but the cached token is dropped, with the credential that held it."""
    async with scene([refusal(401, "InvalidAuthenticationToken"), FOUND]) as here:
        with pytest.raises(UnauthenticatedError):
            await act(here.directory)
        assert len(here.graph.asked) == 1
        await act(here.directory)
        assert [asked.headers["Authorization"] for asked in here.graph.asked] == ["Bearer token-1", "Bearer token-2"]
        assert here.credential.closed == 1
    assert here.credential.closed == 2


async def test_call_when_challenged_then_claims_go_into_the_next_token() -> None:
    """The SDK follows a challenge of continuous access evaluation once, within the call."""
    challenge = 'Bearer error="insufficient_claims", claims="eyJhIjoxfQ=="'
    async with scene([Reply(401, headers={"WWW-Authenticate": challenge}), FOUND]) as here:
        assert await read(here.directory)
        assert here.graph.asked[1].headers["Authorization"] == 'Bearer token-1{"a":1}'


@pytest.mark.parametrize("claims", ["a", "/w=="])
async def test_call_when_challenge_cannot_be_read_then_unauthenticated(claims: str) -> None:
    """Claims that are no base64, or no text, are no reason to break."""
    async with scene([Reply(401, headers={"WWW-Authenticate": f'Bearer claims="{claims}"'})]) as here:
        with pytest.raises(UnauthenticatedError):
            await read(here.directory)


async def test_call_when_there_is_no_token_then_repeats_and_raises() -> None:
    """The reason is named by its kind; its text, which may quote an answer, is not kept."""
    async with scene([FOUND], Credential(ValueError("secret text"))) as here:
        with pytest.raises(TokenError) as caught:
            await change(here.directory)
        assert caught.value.answer.code == "ValueError"
        assert "secret" not in str(caught.value)
        assert len(here.credential.scopes) == 5
        assert not here.graph.asked


async def test_call_when_token_comes_late_then_works() -> None:
    """Nothing has been sent without a token, so that a change is repeated too."""
    async with scene([DONE], Credential(OSError("no endpoint yet"), failing_times=2)) as here:
        await change(here.directory)
        assert [report.code for report in here.reports] == ["OSError", "OSError", None]


async def test_call_when_cancelled_then_it_is_reported() -> None:
    """A call that a closing host gives up leaves a trace."""
    async with scene([Reply(hang=True)]) as here:
        task = asyncio.create_task(here.directory.disable_account(USER_ID))
        for _ in range(500):
            if here.graph.asked:
                break
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [(report.status, report.code) for report in here.reports] == [(None, "cancelled")]


async def test_close_when_nothing_was_called_then_nothing_happens() -> None:
    """A directory that was never used has nothing to close."""
    credential = Credential()
    await GraphDirectory("http://127.0.0.1:1", None, RecordingClock(), credential_factory=credential.make).close()
    assert (credential.made, credential.closed) == (0, 0)


async def test_calls_when_at_once_then_one_connection_and_one_credential() -> None:
    """Everything is built once, however many calls start together."""
    async with scene([FOUND]) as here:
        await asyncio.gather(*(read(here.directory) for _ in range(10)))
        assert here.credential.made == 1
