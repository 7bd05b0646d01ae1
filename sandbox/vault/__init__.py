"""An Azure Key Vault on loopback: secrets, as far as Microsoft's client sets and reads them, over TLS.

```python
async with Tenant() as tenant, Vault(tenant.tokens, now=tenant.now) as vault:
    ...  # vault.environment leads a process to it; vault.secrets is what it took
```
A process finds it trustworthy when SSL_CERT_FILE names `vault.ca_file` from its start; within this process a client has
to be handed the file (`connection_verify`). Microsoft's client does not compare this vault's address with the challenge
if it is told so (`verify_challenge_resource=False`): an address on loopback is no name under vault.azure.net.

It is **not faithful** in this:

- Setting and reading a secret is all there is: no list, no update, no delete, hence no soft delete and no name that is
  taken by a deleted secret; no keys, no certificates, no backup. Every other address is 404, another method 405.
- Names are compared letter by letter; Key Vault takes them for the same whatever their case.
- The two rights belong to the vault, not to the caller: whoever has a good token may do what `may_set` and `may_get`
  say, at once. In Azure a role assignment takes minutes to be felt.
- Tokens are the sandbox tenant's, those asked for with a slash after the resource among them, which Key Vault refuses;
  a claims challenge (continuous access evaluation) is never made.
- Nobody is throttled unless a fault says so. There is no firewall.
- Any API version of the known forms is taken; the rules are those of the newest.
- The texts of refusals only resemble Microsoft's, and the codes of 404 for an address and of 405 are guesses. What is
  matched on must be status and code, as with the real service.
- The certificate is its own authority, made at start, valid for a day.
"""

from sandbox.vault.faults import Cut, Fault, Refusal, Silence
from sandbox.vault.secret import Secret
from sandbox.vault.server import Call, Vault

__all__ = ["Call", "Cut", "Fault", "Refusal", "Secret", "Silence", "Vault"]
