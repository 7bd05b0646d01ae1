import pytest

from sandbox.tenant import APP_ROLES, Tenant
from tests.sandbox.tenant.conftest import (
    ADAIR,
    ADVANCED,
    ARDEN,
    AVERY,
    BELLAMY,
    DEVON,
    EMERY,
    JULES,
    OLD_BELLAMY,
    RORY,
    VAL,
    Caller,
    error_of,
)

EMERY_SID = "S-1-5-21-1004336348-1177238915-682003330-1105"


async def test_user_when_read_without_select_then_has_graphs_default_properties(graph: Caller) -> None:
    """Graph's small default set comes back, with null for what is not known."""
    user = (await graph.get(f"/v1.0/users/{AVERY}")).json()
    assert user["id"] == AVERY
    assert user["displayName"] == "Avery Quinn"
    assert user["businessPhones"] == []
    assert user["surname"] is None
    assert "accountEnabled" not in user


async def test_user_when_properties_are_selected_then_only_those_come_back(graph: Caller) -> None:
    """Nothing but the selected properties and the context is in the answer."""
    user = (await graph.get(f"/beta/users/{AVERY}", select="userType,accountEnabled,isManagementRestricted")).json()
    user.pop("@odata.context")
    assert user == {"userType": "Member", "accountEnabled": True, "isManagementRestricted": None}


async def test_user_when_in_restricted_unit_then_is_management_restricted(graph: Caller) -> None:
    """Membership of a restricted management administrative unit shows on the user."""
    user = (await graph.get(f"/v1.0/users/{JULES}", select="isManagementRestricted")).json()
    assert user["isManagementRestricted"] is True


async def test_user_when_unknown_property_selected_then_bad_request(graph: Caller) -> None:
    """A property that the type does not have is refused by name."""
    answer = await graph.get(f"/v1.0/users/{AVERY}", select="id,shoeSize")
    assert error_of(answer) == (400, "BadRequest")
    assert "'shoeSize' on type 'microsoft.graph.user'" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("name", "user_id"),
    [
        ("AVERY.QUINN@CONTOSO.EXAMPLE", AVERY),
        ("devon.laine_northwind.example%23EXT%23@contoso.example", DEVON),
        ("rory.o'brien@contoso.example", RORY),
        (AVERY.upper(), AVERY),
    ],
)
async def test_user_when_named_by_principal_name_then_found_in_any_case(graph: Caller, name: str, user_id: str) -> None:
    """A user principal name does as well as the id, encoded where it must be."""
    assert (await graph.get(f"/v1.0/users/{name}")).json()["id"] == user_id


async def test_guest_when_name_is_not_encoded_then_not_found(graph: Caller) -> None:
    """An unencoded #EXT# cuts the address, and another user is asked for."""
    answer = await graph.get("/v1.0/users/devon.laine_northwind.example#EXT#@contoso.example")
    assert error_of(answer) == (404, "Request_ResourceNotFound")


async def test_user_when_unknown_then_not_found_in_graphs_words(graph: Caller) -> None:
    """The message names what was asked for."""
    answer = await graph.get("/v1.0/users/nobody@contoso.example")
    assert error_of(answer) == (404, "Request_ResourceNotFound")
    assert answer.json()["error"]["message"].startswith("Resource 'nobody@contoso.example' does not exist or one of")


@pytest.mark.parametrize(
    ("expression", "user_id"),
    [
        ("userPrincipalName eq 'Avery.Quinn@contoso.example'", AVERY),
        ("userPrincipalName eq 'rory.o''brien@contoso.example'", RORY),
        (f"id eq '{AVERY}'", AVERY),
        (f"onPremisesSecurityIdentifier eq '{EMERY_SID}'", EMERY),
        ("securityIdentifier eq 'S-1-12-1-268435456-1073741824-128-83886080'", EMERY),
    ],
)
@pytest.mark.parametrize("headers", [{}, ADVANCED])
async def test_users_when_filtered_then_the_one_that_matches(
    graph: Caller, expression: str, user_id: str, headers: dict[str, str]
) -> None:
    """These properties are filtered by with and without the advanced header."""
    answer = await graph.get("/v1.0/users", headers, filter=expression, select="id")
    assert answer.json()["value"] == [{"id": user_id}]


async def test_users_when_no_one_matches_then_empty_page(graph: Caller) -> None:
    """No match is no error."""
    answer = await graph.get("/v1.0/users", filter="userPrincipalName eq 'nobody@contoso.example'")
    assert answer.json()["value"] == []


async def test_users_when_filtered_by_account_name_then_advanced_query_is_needed(graph: Caller) -> None:
    """The account name wants both the header and the count."""
    expression = "onPremisesSamAccountName eq 'EVANCE'"
    plain = await graph.get("/v1.0/users", filter=expression)
    header_only = await graph.get("/v1.0/users", ADVANCED, filter=expression)
    count_only = await graph.get("/v1.0/users", filter=expression, count="true")
    both = await graph.get("/v1.0/users", ADVANCED, filter=expression, count="true", select="id,onPremisesDomainName")
    assert [error_of(each) for each in (plain, header_only, count_only)] == [(400, "Request_UnsupportedQuery")] * 3
    assert both.json()["value"] == [{"id": EMERY, "onPremisesDomainName": "corp.contoso.example"}]
    assert both.json()["@odata.count"] == 1


async def test_users_when_two_domains_have_the_account_name_then_both_with_their_domains(graph: Caller) -> None:
    """An account name is unique in its domain only, and the domain can be selected, not filtered by."""
    expression = "onPremisesSamAccountName eq 'AFinch'"
    answer = await graph.get("/v1.0/users", ADVANCED, filter=expression, count="true", select="id,onPremisesDomainName")
    assert answer.json()["value"] == [
        {"id": ADAIR, "onPremisesDomainName": "corp.contoso.example"},
        {"id": ARDEN, "onPremisesDomainName": "lab.contoso.example"},
    ]
    with_domain = f"{expression} and onPremisesDomainName eq 'lab.contoso.example'"
    refused = await graph.get("/v1.0/users", ADVANCED, filter=with_domain, count="true")
    assert error_of(refused) == (400, "Request_UnsupportedQuery")


async def test_users_when_two_have_one_security_identifier_then_both(graph: Caller, tenant: Tenant) -> None:
    """Nothing keeps two objects in the cloud from the same account on premises."""
    sid = tenant.directory.users[BELLAMY].properties["onPremisesSecurityIdentifier"]
    answer = await graph.get("/v1.0/users", filter=f"onPremisesSecurityIdentifier eq '{sid}'", select="id")
    assert answer.json()["value"] == [{"id": BELLAMY}, {"id": OLD_BELLAMY}]


async def test_certificates_when_selected_then_shown_and_never_else(graph: Caller, tenant: Tenant) -> None:
    """Whoever has no certificate has an empty list, also when the directory says null."""
    tenant.directory.users[JULES].properties["authorizationInfo"] = None
    shown = [
        (await graph.get(f"/v1.0/users/{each}", select="authorizationInfo")).json() for each in (VAL, AVERY, JULES)
    ]
    assert [each["authorizationInfo"]["certificateUserIds"] for each in shown] == [
        ["X509:<PN>val.cross@contoso.example"],
        [],
        [],
    ]
    assert "authorizationInfo" not in (await graph.get(f"/v1.0/users/{VAL}")).json()


async def test_certificates_when_only_beta_has_them_then_v1_does_not_know_the_property(
    graph: Caller, tenant: Tenant
) -> None:
    """The documentation differs on the version, so the tenant may be either way, for one user and for all."""
    tenant.authorization_info_in = "beta"
    for address in (f"users/{VAL}", "users"):
        refused = await graph.get(f"/v1.0/{address}", select="id,authorizationInfo")
        assert error_of(refused) == (400, "BadRequest")
        wanted = "Could not find a property named 'authorizationInfo' on type 'microsoft.graph.user'."
        assert wanted in refused.json()["error"]["message"]
    beta = await graph.get(f"/beta/users/{VAL}", select="authorizationInfo")
    assert beta.json()["authorizationInfo"]["certificateUserIds"]
    assert (await graph.get(f"/v1.0/users/{VAL}", select="id")).status_code == 200


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("userPrincipalName eq 'o'brien'", "BadRequest"),
        ("userPrincipalName", "BadRequest"),
        ("userPrincipalName eq", "BadRequest"),
        ("", "BadRequest"),
        ("id eq 'a' and", "BadRequest"),
        ("id eq 'a' or id eq 'b'", "BadRequest"),
        ("onPremisesDomainName eq 'corp.contoso.example'", "Request_UnsupportedQuery"),
    ],
)
async def test_users_when_filter_cannot_be_read_then_bad_request(graph: Caller, expression: str, code: str) -> None:
    """A literal without doubled quotes, a half clause and a property without filter are refused."""
    assert error_of(await graph.get("/v1.0/users", filter=expression)) == (400, code)


async def test_users_when_two_clauses_then_both_hold(graph: Caller, tenant: Tenant) -> None:
    """Clauses are joined by and."""
    name = tenant.directory.users[AVERY].user_principal_name
    both = await graph.get("/v1.0/users", filter=f"id eq '{AVERY}' and userPrincipalName eq '{name}'")
    neither = await graph.get("/v1.0/users", filter=f"id eq '{DEVON}' and userPrincipalName eq '{name}'")
    assert [len(each.json()["value"]) for each in (both, neither)] == [1, 0]


async def test_users_when_option_is_not_supported_then_bad_request(graph: Caller) -> None:
    """An option that this tenant does not know is never passed over in silence."""
    assert error_of(await graph.get("/v1.0/users", orderby="displayName")) == (400, "BadRequest")


async def test_domain_when_federated_then_says_so(graph: Caller, tenant: Tenant) -> None:
    """The way a domain signs in is on the domain, for who may read domains."""
    domains = [await graph.get(f"/v1.0/domains/{name}.example") for name in ("Fabrikam", "contoso")]
    unknown = await graph.get("/v1.0/domains/adatum.example")
    tenant.roles = set(APP_ROLES) - {"Domain.Read.All"}
    refused = await graph.get("/v1.0/domains/fabrikam.example")
    assert error_of(refused) == (403, "Authorization_RequestDenied")
    assert [(each.status_code, each.json()["authenticationType"]) for each in domains] == [
        (200, "Federated"),
        (200, "Managed"),
    ]
    assert error_of(unknown) == (404, "Request_ResourceNotFound")
