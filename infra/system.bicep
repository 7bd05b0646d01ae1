metadata description = 'What runs, in one resource group, for an identity that is there already.'

import { account, busNames, principal } from 'types.bicep'
import { makesPasses } from 'policy.bicep'

@description('The region.')
param location string

@description('The tags of every resource.')
param tags { *: string }

@description('What the names end in that must be unique in the world.')
@minLength(8)
@maxLength(13)
param suffix string

@description('Whom the app is.')
param runsAs account

@description('The names of the queues and of the topic.')
param names busNames

@description('The policy as JSON, as it is to hold.')
param policy string

@description('The client id of the application that callers over HTTP ask a token for; empty to let function keys do.')
param callerApplicationId string

@description('Who may read Temporary Access Passes.')
param passReaders principal[]

@description('The address of Microsoft Graph.')
param graphUrl string

@description('How many instances there may be at once.')
param maximumInstanceCount int

@description('The memory of an instance in megabytes.')
param instanceMemoryMB 512 | 2048 | 4096

@description('How many days logs are kept.')
param retentionInDays int

@description('Whether there is a vault: only where a profile makes Temporary Access Passes.')
var hasVault = makesPasses(policy)

module storage 'modules/storage.bicep' = {
  params: {
    location: location
    name: 'stmfareset${suffix}'
    principalId: runsAs.principalId
    tags: tags
  }
}

module bus 'modules/bus.bicep' = {
  params: {
    location: location
    name: 'sb-mfa-reset-${suffix}'
    names: names
    principalId: runsAs.principalId
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  params: {
    location: location
    name: 'mfa-reset-${suffix}'
    principalId: runsAs.principalId
    retentionInDays: retentionInDays
    tags: tags
  }
}

module vault 'modules/vault.bicep' = if (hasVault) {
  params: {
    location: location
    name: 'kv-mfa-${suffix}'
    principalId: runsAs.principalId
    readers: passReaders
    tags: tags
  }
}

module app 'modules/app.bicep' = {
  params: {
    busHost: bus.outputs.host
    callerApplicationId: callerApplicationId
    graphUrl: graphUrl
    instanceMemoryMB: instanceMemoryMB
    keyVaultUrl: vault.?outputs.url ?? ''
    location: location
    maximumInstanceCount: maximumInstanceCount
    name: 'func-mfa-reset-${suffix}'
    names: names
    packagesUrl: storage.outputs.packagesUrl
    policy: policy
    runsAs: runsAs
    storageUrls: storage.outputs.urls
    tags: tags
    telemetryConnectionString: monitoring.outputs.connectionString
  }
}

@description('The name of the app.')
output appName string = app.outputs.name

@description('The address of the app.')
output appUrl string = app.outputs.url

@description('The host of the Service Bus namespace.')
output busHost string = bus.outputs.host

@description('The address of the vault; empty where there is none.')
output keyVaultUrl string = vault.?outputs.url ?? ''

@description('The workspace, for queries.')
output workspaceId string = monitoring.outputs.workspaceId
