metadata description = 'The vault for Temporary Access Passes. The app may set secrets and do nothing else, not even read them.'

import { principal } from '../types.bicep'

@description('The region.')
param location string

@description('The name of the vault.')
@minLength(3)
@maxLength(24)
param name string

@description('The tags of every resource.')
param tags { *: string }

@description('The object id of the identity of the app.')
param principalId string

@description('Who may read the passes: help-desk groups, say. Nobody by default.')
param readers principal[]

@description('The workspace that is told who reads a pass.')
param workspaceId string

@description('Key Vault Secrets User.')
var secretsUser = '4633458b-17de-408a-b874-0445c86b69e6'

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    enablePurgeProtection: true
    enableRbacAuthorization: true
    enableSoftDelete: true
    sku: { family: 'A', name: 'standard' }
    softDeleteRetentionInDays: 7
    tenantId: tenant().tenantId
  }
}

// The newest stable version knows no groups of categories.
#disable-next-line use-recent-api-versions
resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit'
  scope: vault
  properties: {
    logAnalyticsDestinationType: 'Dedicated'
    logs: [{ categoryGroup: 'audit', enabled: true }]
    workspaceId: workspaceId
  }
}

resource setter 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(vault.id, 'set secrets')
  properties: {
    roleName: 'mfa-reset sets secrets in ${name}'
    description: 'Sets secrets and does nothing else, not even read them.'
    type: 'CustomRole'
    assignableScopes: [resourceGroup().id]
    permissions: [
      {
        actions: []
        dataActions: ['Microsoft.KeyVault/vaults/secrets/setSecret/action']
        notActions: []
        notDataActions: []
      }
    ]
  }
}

resource sets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, principalId, setter.id)
  scope: vault
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: setter.id
  }
}

resource reads 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for reader in readers: {
    name: guid(vault.id, reader.id, secretsUser)
    scope: vault
    properties: {
      principalId: reader.id
      principalType: reader.type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsUser)
    }
  }
]

@description('The address of the vault.')
output url string = vault.properties.vaultUri
