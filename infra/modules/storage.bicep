metadata description = 'One storage account without keys: the package of the app and its host in blobs, the ledger in tables.'

import { redundancy as redundancies } from '../types.bicep'

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

@description('The container of the package of the app.')
var packages = 'app-package'

@description('The tables of the ledger, by the names that the code knows.')
var tables = ['MfaResetControl', 'MfaResetRequests', 'MfaResetUsers']

@description('What the app may do here: its host keeps leases and timers in blobs, and both keep rows in tables.')
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
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }

  resource blobs 'blobServices' = {
    name: 'default'

    resource container 'containers' = {
      name: packages
    }
  }

  resource tableService 'tableServices' = {
    name: 'default'

    resource ledger 'tables' = [
      for table in tables: {
        name: table
      }
    ]
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

@description('The addresses of the account by service.')
output urls { blob: string, table: string } = {
  blob: account.properties.primaryEndpoints.blob
  table: account.properties.primaryEndpoints.table
}
