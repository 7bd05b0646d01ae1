"""The types of authentication methods: where each lives, since which version, and who may touch it."""

from dataclasses import dataclass

from sandbox.tenant.exchange import Version

BROAD_READ = "UserAuthenticationMethod.Read.All"
BROAD_WRITE = "UserAuthenticationMethod.ReadWrite.All"


@dataclass(frozen=True)
class MethodType:
    """One type: `role` is the granular app role, `version` the oldest API version that has its address."""

    name: str
    segment: str
    role: str | None
    version: Version = "v1.0"
    deletable: bool = True


METHOD_TYPES = (
    MethodType("phone", "phoneMethods", "UserAuthMethod-Phone.ReadWrite.All"),
    MethodType(
        "microsoftAuthenticator", "microsoftAuthenticatorMethods", "UserAuthMethod-MicrosoftAuthApp.ReadWrite.All"
    ),
    MethodType("softwareOath", "softwareOathMethods", "UserAuthMethod-SoftwareOATH.ReadWrite.All"),
    MethodType("email", "emailMethods", "UserAuthMethod-Email.ReadWrite.All"),
    MethodType("fido2", "fido2Methods", "UserAuthMethod-Passkey.ReadWrite.All"),
    MethodType(
        "windowsHelloForBusiness", "windowsHelloForBusinessMethods", "UserAuthMethod-WindowsHello.ReadWrite.All"
    ),
    MethodType("platformCredential", "platformCredentialMethods", "UserAuthMethod-PlatformCred.ReadWrite.All"),
    MethodType("temporaryAccessPass", "temporaryAccessPassMethods", "UserAuthMethod-TAP.ReadWrite.All"),
    MethodType("external", "externalAuthenticationMethods", "UserAuthMethod-External.ReadWrite.All"),
    MethodType("hardwareOath", "hardwareOathMethods", "UserAuthMethod-HardwareOATH.ReadWrite.All", "beta"),
    MethodType("qrCodePin", "qrCodePinMethod", "UserAuthMethod-QR.ReadWrite.All", "beta"),
    MethodType("password", "passwordMethods", None, deletable=False),
)

BETA_ONLY_IN_LISTS = frozenset({"hardwareOath"})
"""Types that the v1.0 model does not have, so that a v1.0 list of all methods leaves them out."""
