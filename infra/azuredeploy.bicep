metadata description = 'The running system in one resource group, for the portal. Without what only Microsoft Entra ID can give: see docs/operations.md.'

import { effectivePolicy } from 'policy.bicep'
import { defaultBusNames, mode as modes, principal } from 'types.bicep'

@description('The region. Flex Consumption has to be available there.')
param location string = resourceGroup().location

@description('observe only says what would be done: begin with it. enforce does it.')
param mode modes

@description('The object ids of the users who are never touched: the break-glass accounts. At least one.')
@minLength(1)
param neverUsers string[]

@description('The object ids of groups whose members are never touched, besides those of the policy.')
param neverGroups string[] = []

@description('The policy as JSON. Mode and never are added to it.')
param policy string = loadTextContent('policy.json')

@description('The client id of an application made by hand for callers over HTTP; empty to let function keys in.')
param callerApplicationId string = ''

@description('Who may read Temporary Access Passes in the vault, where a profile makes any.')
param passReaders principal[] = []

@description('The address of Microsoft Graph: another one in national clouds.')
param graphUrl string = 'https://graph.microsoft.com'

@description('How many instances there may be at once.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('The memory of an instance in megabytes.')
param instanceMemoryMB 512 | 2048 | 4096 = 2048

@description('How many days logs are kept.')
@minValue(30)
@maxValue(730)
param retentionInDays int = 90

@description('What the names end in that must be unique in the world.')
var suffix = uniqueString(resourceGroup().id)

@description('The tags of every resource.')
var tags = { application: 'mfa-reset' }

module identity 'modules/identity.bicep' = {
  params: {
    location: location
    name: 'id-mfa-reset-${suffix}'
    tags: tags
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
    policy: effectivePolicy(policy, mode, neverUsers, neverGroups)
    retentionInDays: retentionInDays
    runsAs: identity.outputs.account
    suffix: suffix
    tags: tags
  }
}

@description('The name of the app, for the deployment of its code.')
output appName string = system.outputs.appName

@description('The address of the app.')
output appUrl string = system.outputs.appUrl

@description('The host of the Service Bus namespace.')
output busHost string = system.outputs.busHost

@description('The object id of the identity of the app: app roles are granted to it.')
output identityPrincipalId string = identity.outputs.account.principalId
