from urllib.parse import parse_qs, urlsplit

import pytest

from sandbox.tenant import Tenant
from tests.sandbox.tenant.conftest import ADVANCED, ALL_STAFF, BLAIR, HARPER, Caller, error_of
from tests.sandbox.tenant.test_groups import read_all

COLLECTIONS = [
    "/v1.0/users",
    "/v1.0/groups",
    f"/v1.0/groups/{ALL_STAFF}/transitiveMembers",
    f"/v1.0/users/{HARPER}/transitiveMemberOf",
    "/v1.0/roleManagement/directory/roleAssignments",
]


@pytest.mark.parametrize("address", COLLECTIONS)
async def test_collection_when_read_page_by_page_then_is_the_same(graph: Caller, tenant: Tenant, address: str) -> None:
    """Pages of two, behind an empty first page or not, hold what one large page holds."""
    whole = await read_all(graph, address, select="id")
    tenant.page_size = 2
    in_pages = await read_all(graph, address, select="id")
    tenant.empty_first_page = True
    behind_empty = await read_all(graph, address, select="id")
    assert len(whole) > 2
    assert whole == in_pages == behind_empty


async def test_methods_when_page_is_small_then_have_a_link_too(graph: Caller, tenant: Tenant) -> None:
    """No paging of methods is documented, which is no promise that there is none."""
    address = f"/beta/users/{BLAIR}/authentication/methods"
    whole = await read_all(graph, address)
    tenant.page_size = 1
    assert await read_all(graph, address) == whole


async def test_next_link_when_given_then_is_absolute_and_keeps_the_query(graph: Caller, tenant: Tenant) -> None:
    """The link leads to this tenant, with select and filter as they were."""
    tenant.page_size = 1
    expression = "isAssignableToRole eq true"
    first = (await graph.get("/v1.0/groups", ADVANCED, filter=expression, select="id", count="true")).json()
    link = urlsplit(first["@odata.nextLink"])
    query = parse_qs(link.query)
    assert f"{link.scheme}://{link.netloc}" == tenant.url
    assert (query["$filter"], query["$select"]) == ([expression], ["id"])
    assert "$skiptoken" in query
    assert first["@odata.count"] == 3


async def test_count_when_not_asked_for_or_on_a_later_page_then_absent(graph: Caller, tenant: Tenant) -> None:
    """The count comes with the first page of an advanced query, never else."""
    tenant.page_size = 1
    first = (await graph.get("/v1.0/groups", ADVANCED, count="true")).json()
    second = (await graph.call("GET", first["@odata.nextLink"], headers=ADVANCED)).json()
    plain = [(await graph.get("/v1.0/groups")).json(), (await graph.get("/v1.0/groups", count="true")).json()]
    assert ["@odata.count" in page for page in (first, second, *plain)] == [True, False, False, False]


async def test_page_when_top_is_one_then_has_one_item(graph: Caller) -> None:
    """One is the smallest page."""
    assert len((await graph.get("/v1.0/groups", top="1")).json()["value"]) == 1


async def test_first_page_when_empty_then_has_a_link(graph: Caller, tenant: Tenant) -> None:
    """An empty page is not the end; an empty collection is."""
    tenant.empty_first_page = True
    page = (await graph.get("/v1.0/groups")).json()
    nothing = (await graph.get("/v1.0/users", filter="id eq 'x'")).json()
    assert page["value"] == []
    assert "@odata.nextLink" in page
    assert "@odata.nextLink" not in nothing


async def test_page_when_top_is_given_then_no_larger(graph: Caller, tenant: Tenant) -> None:
    """The caller may ask for smaller pages, not for larger ones than the tenant's."""
    two = (await graph.get("/v1.0/groups", top="2")).json()["value"]
    tenant.page_size = 3
    three = (await graph.get("/v1.0/groups", top="999")).json()["value"]
    assert (len(two), len(three)) == (2, 3)


@pytest.mark.parametrize("top", ["0", "-1", "x", "1000"])
async def test_page_when_top_is_out_of_range_then_bad_request(graph: Caller, top: str) -> None:
    """Sizes from 1 to 999 are allowed."""
    assert error_of(await graph.get("/v1.0/groups", top=top)) == (400, "Request_BadRequest")


async def test_page_when_skip_token_is_foreign_then_bad_request(graph: Caller) -> None:
    """A token that this tenant did not make is refused."""
    assert error_of(await graph.get("/v1.0/groups", skiptoken="x")) == (400, "Directory_ExpiredPageToken")


@pytest.mark.parametrize("address", [*COLLECTIONS, f"/v1.0/users/{HARPER}", f"/v1.0/groups/{ALL_STAFF}"])
async def test_collection_when_option_is_not_known_then_bad_request(graph: Caller, address: str) -> None:
    """An option that this tenant does not have is never passed over in silence."""
    assert error_of(await graph.get(address, expand="members")) == (400, "BadRequest")


@pytest.mark.parametrize(("literal", "count"), [("true", 3), ("false", 0), ("null", 9)])
async def test_filter_when_literal_is_not_text_then_compared_as_it_is(graph: Caller, literal: str, count: int) -> None:
    """Null is not false: ordinary groups are null for assignable."""
    found = (await graph.get("/v1.0/groups", filter=f"isAssignableToRole eq {literal}")).json()["value"]
    assert len(found) == count
