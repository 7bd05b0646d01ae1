"""mfa-reset: close every way to pass multifactor authentication that Microsoft Graph can close for one user.

Reading order: `service` tells the story of one accepted request, `reset` carries out its plan. `reception` says what
becomes of a delivery or a call, `endings` how a request leaves, `sweep` what is done by the clock. `decide`, `plan`,
`coverage` and `evidence` are the judgement, pure, `outcomes`, `remains` and `dry_run` what is told of it; `model`,
`vocabulary`, `policy`, `catalogue`, `permissions` and `errors` are its words; `patience` and `pause` say when. `lookup`
finds the user a request means, `steps` takes one step. `ports` are the promises of the outside world, which `graph`,
`ledger`, `vault` and `bus` keep; `identity` is who we are to it, `readiness` says what that identity may not. `intake`
and `web` turn bytes into requests and values into answers; `settings` and `bootstrap` build it all once. `operate` and
`redrive` are an operator's commands.
"""
