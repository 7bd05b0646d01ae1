metadata description = 'The running system, from nothing: for azd, or az deployment sub create.'

targetScope = 'subscription'

import { chosenPolicy, effectivePolicy, rolesFor } from 'policy.bicep'
import { appRole, defaultBusNames, objectId, permissionSet, policyName as policyNames, principal, redundancy } from 'types.bicep'

@description('What this installation is called; azd asks for it.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('The name of the resource group; empty for rg- and the name of the installation.')
@maxLength(90)
param resourceGroupName string = ''

@description('Tags for every resource, besides those that azd looks for.')
param tags { *: string } = {}

@description('The region. Flex Consumption has to be available there.')
@minLength(1)
param location string

@description('observe only says what would be done: begin with it. enforce does it.')
@allowed(['observe', 'enforce']) // a type would be sorted, and azd and the portal begin with the first
@metadata({ azd: { default: 'observe' } })
param mode string

@description('The object ids of the users who are never touched: the break-glass accounts. At least one.')
@minLength(1)
param neverUsers objectId[]

@description('The object ids of groups whose members are never touched, besides those of the policy.')
param neverGroups objectId[] = []

@description('Which policy: standard, or narrow, which needs no app role that could take accounts over, and removes less.')
param policyName policyNames = 'standard'

@description('A policy of your own as JSON, instead of those. Mode and never are added to it.')
param policy string = ''

@description('Narrow app roles of Microsoft Graph, or one broad one; docs/permissions.md says when that is needed.')
param graphPermissionSet permissionSet = 'narrow'

@description('Whether to grant the app roles: needs a Privileged Role Administrator, once. Without, docs/operations.md says how.')
param grantGraphPermissions bool = true

@description('Whether to make the application for callers over HTTP. Without it function keys let them in.')
param createApplication bool = true

@description('Who may read Temporary Access Passes in the vault, where a profile makes any.')
param passReaders principal[] = []

@description('The address of Microsoft Graph: another one in national clouds.')
param graphUrl string = 'https://graph.microsoft.com'

@description('How many on-demand instances each group of functions may have at once: all of HTTP is one, each other function another.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('The memory of an instance in megabytes.')
param instanceMemoryMB 512 | 2048 | 4096 = 2048

@description('How the storage accounts are kept: of the ledger, and of the code.')
param storageRedundancy redundancy = 'Standard_ZRS'

@description('How many days logs are kept.')
@minValue(30)
@maxValue(730)
param retentionInDays int = 90

@description('The policy as it is to hold.')
var policyInForce = effectivePolicy(chosenPolicy(policyName, policy), mode, neverUsers, neverGroups)

@description('What the names end in that must be unique in the world.')
var suffix = uniqueString(subscription().id, toLower(environmentName))

@description('What azd finds the resources by, beside the tags of the operator.')
var allTags = union(tags, { 'azd-env-name': environmentName })

@description('Whether this is the global cloud, where app roles have the ids that are known here.')
var inGlobalCloud = contains(['https://graph.microsoft.com', 'https://graph.microsoft.com/'], toLower(graphUrl))

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: empty(resourceGroupName) ? 'rg-${environmentName}' : resourceGroupName
  location: location
  tags: allTags
}

module identity 'modules/identity.bicep' = {
  scope: group
  params: {
    location: location
    name: 'id-mfa-reset-${suffix}'
    tags: allTags
  }
}

module application 'modules/application.bicep' = if (createApplication) {
  scope: group
  params: {
    displayName: 'mfa-reset ${environmentName}'
    uniqueName: 'mfa-reset-${suffix}'
  }
}

module system 'system.bicep' = {
  scope: group
  params: {
    callerApplicationId: application.?outputs.clientId ?? ''
    graphUrl: graphUrl
    instanceMemoryMB: instanceMemoryMB
    location: location
    maximumInstanceCount: maximumInstanceCount
    names: defaultBusNames
    passReaders: passReaders
    policy: policyInForce
    requireToken: createApplication
    retentionInDays: retentionInDays
    runsAs: identity.outputs.account
    storageRedundancy: storageRedundancy
    suffix: suffix
    tags: allTags
  }
}

module graphPermissions 'modules/graph-permissions.bicep' = if (grantGraphPermissions) {
  scope: group
  params: {
    principalId: identity.outputs.account.principalId
    // Elsewhere an id may be another role's, or nobody's.
    roles: !grantGraphPermissions
      ? []
      : inGlobalCloud
          ? rolesFor(policyInForce, graphPermissionSet)
          : fail('In national clouds app roles have other ids: deploy with grantGraphPermissions=false, and grant them by name (docs/operations.md).')
  }
  dependsOn: [system] // by then the identity, new at the first deployment, is known everywhere
}

@description('The region.')
output AZURE_LOCATION string = location

@description('The name of the resource group.')
output AZURE_RESOURCE_GROUP string = group.name

@description('The tenant.')
output AZURE_TENANT_ID string = tenant().tenantId

@description('The name of the app.')
output MFA_RESET_APP string = system.outputs.appName

@description('The address of the app.')
output MFA_RESET_URL string = system.outputs.appUrl

@description('What callers over HTTP ask a token for; empty where function keys let them in.')
output MFA_RESET_AUDIENCE string = application.?outputs.identifierUri ?? ''

@description('The host of the Service Bus namespace, for playbooks, and for ServiceBusConnection__fullyQualifiedNamespace.')
output MFA_RESET_BUS string = system.outputs.busHost

@description('The address of the ledger: LEDGER_URL of the operator.')
output MFA_RESET_LEDGER string = system.outputs.ledgerUrl

@description('The workspace that logs go to.')
output MFA_RESET_WORKSPACE string = system.outputs.workspaceId

@description('Where Temporary Access Passes go; empty where no profile makes any.')
output MFA_RESET_VAULT string = system.outputs.keyVaultUrl

@description('The object id of the identity of the app: what is granted to it, and revoked from it.')
output MFA_RESET_IDENTITY string = identity.outputs.account.principalId

@description('The app roles of Microsoft Graph that the policy needs, with their ids in the global cloud.')
output MFA_RESET_GRAPH_ROLES appRole[] = rolesFor(policyInForce, graphPermissionSet)
