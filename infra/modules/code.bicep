metadata description = 'The storage account of the code: the package of the app, and what its host keeps. No keys.'

import { keylessStorage, redundancy as redundancies, storageWrites } from '../types.bicep'

@description('The region.')
param location string

@description('The name of the account.')
@minLength(3)
@maxLength(24)
param name string

@description('The tags of every resource.')
param tags { *: string }

@description('The object id of the identity of the app.')
param principalId string

@description('How it is kept.')
param redundancy redundancies

@description('The workspace that is told who writes a blob.')
param workspaceId string

@description('The container of the package of the app.')
var packages = 'app-package'

@description('How many days what was deleted or overwritten can be brought back.')
var kept = 14

@description('What the app may do here: its host keeps leases, timers and function keys in blobs, and its own events in a table.')
var roles = {
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
}

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: redundancy }
  properties: keylessStorage

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      containerDeleteRetentionPolicy: { days: kept, enabled: true }
      deleteRetentionPolicy: { allowPermanentDelete: false, days: kept, enabled: true }
    }

    resource container 'containers' = {
      name: packages
    }
  }
}

// The newest stable version takes no name but one.
#disable-next-line use-recent-api-versions
resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit'
  scope: account::blobs
  properties: {
    logs: storageWrites
    workspaceId: workspaceId
  }
}

resource assignments 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in items(roles): {
    name: guid(account.id, principalId, role.value)
    scope: account
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.value)
    }
  }
]

@description('Where the package of the app lies.')
output packagesUrl string = '${account.properties.primaryEndpoints.blob}${packages}'

@description('The addresses that the host is given.')
output urls { blob: string, table: string } = {
  blob: account.properties.primaryEndpoints.blob
  table: account.properties.primaryEndpoints.table
}
