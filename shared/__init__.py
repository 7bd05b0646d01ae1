"""mfa-reset: close every way to pass multifactor authentication that Microsoft Graph can close for one user.

Reading order: `service` tells the story of one accepted request, `reset` carries out its plan. `reception` says what
becomes of a delivery or a call. `decide`, `plan` and `evidence` are the judgement, pure; `model`, `vocabulary`,
`policy`, `catalogue` and `errors` are its words. `ports` are the promises of the outside world, which `graph`, `ledger`
and `bus` keep. `intake` and `web` turn bytes into requests and values into answers; `settings` and `bootstrap` build it
all once.
"""
