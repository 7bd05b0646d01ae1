metadata description = 'What runs, in one resource group, for an identity that is there already.'

import { account, busNames, principal, redundancy } from 'types.bicep'
import { makesPasses } from 'policy.bicep'

@description('The region.')
param location string

@description('The tags of every resource.')
param tags { *: string }

@description('What the names end in that must be unique in the world.')
@minLength(8)
@maxLength(13)
param suffix string

@description('The managed identity of the app.')
param runsAs account

@description('The names of the queues and of the topic.')
param names busNames

@description('The policy as JSON, as it is to hold.')
param policy string

@description('Whether callers over HTTP need a token of Microsoft Entra ID; else function keys let them in.')
param requireToken bool

@description('The client id of the application that they ask a token for.')
param callerApplicationId string

@description('Who may read Temporary Access Passes.')
param passReaders principal[]

@description('The address of Microsoft Graph.')
param graphUrl string

@description('How many on-demand instances each group of functions may have at once: all of HTTP is one, each other function another.')
param maximumInstanceCount int

@description('The memory of an instance in megabytes.')
param instanceMemoryMB 512 | 2048 | 4096

@description('How the storage accounts are kept.')
param storageRedundancy redundancy

@description('How many days logs are kept.')
param retentionInDays int

@description('Whether there is a vault: only where a profile makes Temporary Access Passes.')
var hasVault = makesPasses(policy)

module ledger 'modules/ledger.bicep' = {
  params: {
    location: location
    name: 'stmfaledger${suffix}'
    principalId: runsAs.principalId
    redundancy: storageRedundancy
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module code 'modules/code.bicep' = {
  params: {
    location: location
    name: 'stmfacode${suffix}'
    principalId: runsAs.principalId
    redundancy: storageRedundancy
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module bus 'modules/bus.bicep' = {
  params: {
    location: location
    name: 'sb-mfa-reset-${suffix}'
    names: names
    principalId: runsAs.principalId
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
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
    workspaceId: monitoring.outputs.workspaceId
  }
}

module app 'modules/app.bicep' = {
  params: {
    busHost: bus.outputs.host
    callerApplicationId: callerApplicationId
    graphUrl: graphUrl
    instanceMemoryMB: instanceMemoryMB
    hostUrls: code.outputs.urls
    keyVaultUrl: vault.?outputs.url ?? ''
    ledgerUrl: ledger.outputs.url
    location: location
    maximumInstanceCount: maximumInstanceCount
    name: 'func-mfa-reset-${suffix}'
    names: names
    packagesUrl: code.outputs.packagesUrl
    policy: policy
    requireToken: requireToken
    runsAs: runsAs
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

@description('The address of the ledger.')
output ledgerUrl string = ledger.outputs.url

@description('The workspace, for queries.')
output workspaceId string = monitoring.outputs.workspaceId
