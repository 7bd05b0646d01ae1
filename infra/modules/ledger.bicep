metadata description = 'The storage account of the ledger: tables, and nothing else. No keys.'

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

@description('The workspace that is told who writes a row.')
param workspaceId string

@description('The tables, by the names that the code knows.')
var tables = ['MfaResetControl', 'MfaResetRequests', 'MfaResetUsers']

@description('Storage Table Data Contributor.')
var tableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: redundancy }
  properties: keylessStorage

  resource tableService 'tableServices' = {
    name: 'default'

    resource ledger 'tables' = [
      for table in tables: {
        name: table
      }
    ]
  }
}

// The newest stable version takes no name but one.
#disable-next-line use-recent-api-versions
resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit'
  scope: account::tableService
  properties: {
    logs: storageWrites
    workspaceId: workspaceId
  }
}

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, principalId, tableDataContributor)
  scope: account
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', tableDataContributor)
  }
}

@description('The address of its tables.')
output url string = account.properties.primaryEndpoints.table
