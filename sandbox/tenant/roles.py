"""Directory roles: active, eligible, and eligible through a group."""

from collections.abc import Callable, Sequence

from sandbox.tenant import permissions
from sandbox.tenant.directory import GroupEligibility, Json, RoleAssignment
from sandbox.tenant.exchange import Answer, GraphError, Request, bad_request
from sandbox.tenant.pages import answer_page
from sandbox.tenant.permissions import Permission, Service
from sandbox.tenant.query import EXPANDABLE_OPTIONS, check_options, read_filter, read_select
from sandbox.tenant.routing import Route
from sandbox.tenant.world import World

_ASSIGNMENT = "unifiedRoleAssignment"
_ROLE_ELIGIBILITY = "unifiedRoleEligibilityScheduleInstance"
_GROUP_ELIGIBILITY = "privilegedAccessGroupEligibilityScheduleInstance"


def read_assignments(world: World, request: Request) -> Answer:
    """`GET /roleManagement/directory/roleAssignments`: active ones, of users and of groups."""
    entities = [_render_assignment(each) for each in world.directory.role_assignments]
    return _answer(world, request, entities, _ASSIGNMENT)


def read_eligibilities(world: World, request: Request) -> Answer:
    """`GET /roleManagement/directory/roleEligibilityScheduleInstances`; needs a P2 licence."""
    _check_licence(world)
    entities = [_render_eligibility(each) for each in world.directory.role_eligibilities]
    return _answer(world, request, entities, _ROLE_ELIGIBILITY)


def read_group_eligibilities(world: World, request: Request) -> Answer:
    """`GET …/privilegedAccess/group/eligibilityScheduleInstances`; needs a P2 licence and a filter."""
    _check_licence(world)
    if "$filter" not in request.query:
        raise bad_request("The request needs a filter by principalId or groupId.", "BadRequest")
    entities = [_render_group_eligibility(each) for each in world.directory.group_eligibilities]
    return _answer(world, request, entities, _GROUP_ELIGIBILITY)


def _check_licence(world: World) -> None:
    if not world.premium:
        raise GraphError(
            400,
            "AadPremiumLicenseRequired",
            "The tenant needs to have Microsoft Entra ID P2 or Microsoft Entra ID Governance license.",
        )


def _answer(world: World, request: Request, entities: Sequence[Json], type_name: str) -> Answer:
    check_options(request, EXPANDABLE_OPTIONS)
    expanded = _read_expand(request)
    known = frozenset(name for entity in entities for name in entity) | {"id", "principalId"}
    names = read_select(request, known, type_name)
    clauses = read_filter(request, known, type_name)
    found = [entity for entity in entities if all(clause.holds(entity) for clause in clauses)]
    selected = [{name: entity[name] for name in names or entity} | _expand(world, entity, expanded) for entity in found]
    return answer_page(world, request, selected, type_name)


def _read_expand(request: Request) -> bool:
    """Say whether the principals are wanted too; raise 400 for anything else."""
    wanted = request.query.get("$expand")
    if wanted not in (None, "principal"):
        raise bad_request(f"Parsing OData Select and Expand failed: '{wanted}' cannot be expanded here.", "BadRequest")
    return wanted is not None


def _expand(world: World, entity: Json, expanded: bool) -> Json:  # noqa: FBT001 - what the query says
    """Return the principal with its type; null for one that is deleted."""
    if not expanded:
        return {}
    principal_id = str(entity["principalId"])
    if group := world.directory.groups.get(principal_id):
        return {"principal": {"@odata.type": "#microsoft.graph.group", "id": group.id}}
    if user := world.directory.users.get(principal_id):
        return {"principal": {"@odata.type": "#microsoft.graph.user", "id": user.id}}
    return {"principal": None}


def _render_assignment(assignment: RoleAssignment) -> Json:
    return {
        "id": assignment.id,
        "principalId": assignment.principal_id,
        "roleDefinitionId": assignment.role_definition_id,
        "directoryScopeId": assignment.directory_scope_id,
    }


def _render_eligibility(assignment: RoleAssignment) -> Json:
    return _render_assignment(assignment) | {"memberType": "Direct", "startDateTime": None, "endDateTime": None}


def _render_group_eligibility(eligibility: GroupEligibility) -> Json:
    return {
        "id": eligibility.id,
        "principalId": eligibility.principal_id,
        "groupId": eligibility.group_id,
        "accessId": eligibility.access_id,
        "memberType": "direct",
        "startDateTime": None,
        "endDateTime": None,
    }


def _pim_route(pattern: str, role: str, answer: Callable[[World, Request], Answer]) -> Route:
    return Route("GET", pattern, Permission(Service.PRIVILEGED_ACCESS, frozenset({role})), answer)


ROUTES = (
    Route(
        "GET",
        "roleManagement/directory/roleAssignments",
        permissions.directory("RoleManagement.Read.Directory"),
        read_assignments,
    ),
    _pim_route(
        "roleManagement/directory/roleEligibilityScheduleInstances",
        "RoleManagement.Read.Directory",
        read_eligibilities,
    ),
    _pim_route(
        "identityGovernance/privilegedAccess/group/eligibilityScheduleInstances",
        "PrivilegedEligibilitySchedule.Read.AzureADGroup",
        read_group_eligibilities,
    ),
)
