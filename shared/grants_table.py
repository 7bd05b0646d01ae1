"""What needs which app role of Microsoft Graph, as JSON: from it `infra/policy.bicep` computes what a policy needs.

`make docs` writes `infra/catalogue.json` from here.
"""

import json
import sys

from shared.catalogue import BROAD_READ_ROLE, BROAD_WRITE_ROLE, KINDS, REREGISTER
from shared.permissions import APP_ROLES, FACT_NEEDS, LIST_EVERY_TYPE, STEP_NEEDS


def grants_table() -> dict[str, object]:
    """Return the table: ids of roles by name, and names by what needs them, the narrowest that will do.

    `facts` are needed for every user and `listing` wherever methods are removed; all together it is what `readiness`
    calls missing and advised. `broad` is the one role that makes those that it `covers` unneeded.
    """
    return {
        "roles": {role.name: role.id for role in APP_ROLES},
        "facts": sorted({need.role for needs in FACT_NEEDS.values() for need in needs}),
        "listing": [need.role for need in LIST_EVERY_TYPE],
        "methods": {kind.type.value: kind.narrow_role for kind in KINDS},
        "reregister": [type_.value for type_ in REREGISTER],
        "steps": {step.value: [need.role for need in needs] for step, needs in STEP_NEEDS.items()},
        "broad": {
            "role": BROAD_WRITE_ROLE,
            "covers": sorted({BROAD_READ_ROLE, *(kind.narrow_role for kind in KINDS)}),
        },
    }


if __name__ == "__main__":
    sys.stdout.write(f"{json.dumps(grants_table(), indent=2)}\n")
