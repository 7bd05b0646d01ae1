metadata description = 'The running system in one resource group, for its Owner and for the portal. Without what only Microsoft Entra ID can give: see docs/operations.md.'

import { chosenPolicy, effectivePolicy, rolesFor } from 'policy.bicep'
import { appRole, defaultBusNames, objectId, policyName as policyNames, principal, redundancy } from 'types.bicep'

@description('The region. Flex Consumption has to be available there.')
param location string = resourceGroup().location

@description('Tags for every resource.')
param tags { *: string } = {}

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

@description('The client id of an application made by hand for callers over HTTP; empty to let function keys in.')
param callerApplicationId string = ''

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
var suffix = uniqueString(resourceGroup().id)

@description('The tags of every resource.')
var allTags = union({ application: 'mfa-reset' }, tags)

module identity 'modules/identity.bicep' = {
  params: {
    location: location
    name: 'id-mfa-reset-${suffix}'
    tags: allTags
  }
}

module system 'system.bicep' = {
  params: {
    callerApplicationId: callerApplicationId
    graphUrl: graphUrl
    instanceMemoryMB: instanceMemoryMB
    location: location
    maximumInstanceCount: maximumInstanceCount
    names: defaultBusNames
    passReaders: passReaders
    policy: policyInForce
    requireToken: !empty(callerApplicationId)
    retentionInDays: retentionInDays
    runsAs: identity.outputs.account
    storageRedundancy: storageRedundancy
    suffix: suffix
    tags: allTags
  }
}

@description('The name of the resource group.')
output AZURE_RESOURCE_GROUP string = resourceGroup().name

@description('The name of the app.')
output MFA_RESET_APP string = system.outputs.appName

@description('The address of the app.')
output MFA_RESET_URL string = system.outputs.appUrl

@description('What callers over HTTP ask a token for; empty where function keys let them in.')
output MFA_RESET_AUDIENCE string = callerApplicationId

@description('The host of the Service Bus namespace.')
output MFA_RESET_BUS string = system.outputs.busHost

@description('The address of the ledger: LEDGER_URL of the operator.')
output MFA_RESET_LEDGER string = system.outputs.ledgerUrl

@description('The workspace that logs go to.')
output MFA_RESET_WORKSPACE string = system.outputs.workspaceId

@description('Where Temporary Access Passes go; empty where no profile makes any.')
output MFA_RESET_VAULT string = system.outputs.keyVaultUrl

@description('The object id of the identity of the app: what is granted to it, and revoked from it.')
output MFA_RESET_IDENTITY string = identity.outputs.account.principalId

@description('The app roles of Microsoft Graph that the policy needs, with their ids in the global cloud: grant them to the identity.')
output MFA_RESET_GRAPH_ROLES appRole[] = rolesFor(policyInForce, 'narrow')
