"""mfa-reset: close every way to pass multifactor authentication that Microsoft Graph can close for one user.

Reading order: `service` tells the story of one accepted request; `admission` is what comes before the claim, `reset`
carries out its plan, `recheck` judges the user again between rounds. `reception` says what becomes of a delivery or a
call, `endings` how a request leaves; `sweep` and `waking` are what is done by the clock. `decide`, `plan`, `coverage`
and `evidence` are the judgement, pure; `outcomes`, `remains` and `dry_run` are what an outcome states. `model`,
`vocabulary`, `policy`, `catalogue`, `permissions` and `errors` are the words; `patience`, `pause` and `budgets` say
when. `lookup` finds the user a request means, `steps` takes one step, `mending` sets an account right. `ports` are the
promises of the outside world, which `graph`, `ledger`, `vault` and `bus` keep; `identity` is the managed identity,
`readiness` what it lacks. `intake` and `web` turn bytes into requests and values into answers; `settings` and
`bootstrap` build it all once. `operate` and `redrive` are an operator's commands.
"""
