"""How the directory reads a collection to its end, and no further than Microsoft Graph."""

from typing import Any

import pytest

from shared.errors import (
    UnreadableAnswerError,
)
from shared.model import ReferenceKind, UserReference
from tests.service.graph_script import Asked, Reply, page, scene


def by_sid(identifier: str) -> UserReference:
    """Return a reference by security identifier."""
    return UserReference(ReferenceKind.SECURITY_IDENTIFIER, identifier)


@pytest.mark.parametrize(
    "link",
    [
        "http://127.0.0.1:1/v1.0/users",
        "https://graph.microsoft.com/v1.0/users",
        "http://{host}@evil.example/v1.0",
        "http://user@{host}/v1.0",
        "https://{host}/v1.0",
        "//{host}/v1.0",
        "/v1.0/users?$skiptoken=x",
        "http://{host}\\@evil.example/",
        "http://{host}/v1.0 /x",
        "http://[/v1.0",
        "http://127.0.0.1:99999999/",
        17,
    ],
)
async def test_pages_when_link_leads_away_then_it_is_not_followed(link: Any) -> None:  # noqa: ANN401 - any JSON
    """Our token goes to Microsoft Graph and nowhere else."""

    def answer(asked: Asked) -> Reply:
        target = link.replace("{host}", asked.headers["Host"]) if isinstance(link, str) else link
        return page(link=target)

    async with scene(answer) as here:
        with pytest.raises(UnreadableAnswerError) as caught:
            await here.directory.find_user(by_sid("s-1"))
        assert caught.value.answer.code == "unreadable.nextLink"
        assert len(here.graph.asked) == 1


async def test_pages_when_a_links_filter_has_spaces_then_it_is_followed() -> None:
    """Spaces of a query are encoded; those of a path are no link."""

    def answer(asked: Asked) -> Reply:
        if "skiptoken" in asked.address:
            return page()
        return page(link=f"http://{asked.headers['Host']}/v1.0/users?$filter=a eq 'b'&$skiptoken=1")

    async with scene(answer) as here:
        assert await here.directory.find_user(by_sid("s-1")) is None
        assert here.addresses[-1] == "GET /v1.0/users?$filter=a%20eq%20'b'&$skiptoken=1"


async def test_pages_when_link_repeats_then_raises() -> None:
    """A circle of pages ends at once."""
    async with scene(lambda asked: page(link=f"http://{asked.headers['Host']}/v1.0/again?a=b")) as here:
        with pytest.raises(UnreadableAnswerError) as caught:
            await here.directory.find_user(by_sid("s-1"))
        assert caught.value.answer.code == "unreadable.repeatedLink"
        assert len(here.graph.asked) == 2


async def test_pages_when_they_do_not_end_then_raises() -> None:
    """A thousand pages are more than any user has groups."""
    count = 0

    def answer(asked: Asked) -> Reply:
        nonlocal count
        count += 1
        return page(link=f"http://{asked.headers['Host']}/v1.0/page?number={count}")

    async with scene(answer) as here:
        with pytest.raises(UnreadableAnswerError) as caught:
            await here.directory.find_user(by_sid("s-1"))
        assert caught.value.answer.code == "unreadable.tooManyPages"
        assert count == 1_000
