metadata description = 'What the other files speak of: names, times and who is who.'

@export()
@description('The managed identity that the app runs as.')
@sealed()
type account = {
  @description('Its resource id.')
  id: string

  @description('Its client id: what the app names when it asks for a token.')
  clientId: string

  @description('The object id of its service principal: what roles are assigned to.')
  principalId: string
}

@export()
@description('The object id of somebody or something in Microsoft Entra ID; not a name.')
@minLength(36)
@maxLength(36)
type objectId = string

@export()
@description('Somebody or something to whom a role is assigned.')
@sealed()
type principal = {
  @description('Who it is.')
  id: objectId

  @description('What it is; a wrong word here fails only when it is deployed.')
  type: 'Group' | 'ServicePrincipal' | 'User'
}

@export()
@description('The names of the queues and of the topic, in one place for the bus and for the app.')
@sealed()
type busNames = {
  @description('The queue that requests come in by.')
  requests: string

  @description('The queue that copies of rejected requests go to.')
  rejected: string

  @description('The topic that every outcome is published on.')
  outcomes: string

  @description('The subscription of the topic that keeps every outcome.')
  audit: string
}

@export()
@description('How storage is kept: in three zones, or in one place where a region has no zones.')
type redundancy = 'Standard_LRS' | 'Standard_ZRS'

@export()
@description('Whether anything is changed: observe only says what would be done.')
type mode = 'enforce' | 'observe'

@export()
@description('Which of the policies that come along: standard is policy.json, narrow is policy.narrow.json.')
type policyName = 'narrow' | 'standard'

@export()
@description('Which app roles of Microsoft Graph are granted: a narrow one for each type of method, or one for all.')
type permissionSet = 'broad' | 'narrow'

@export()
@description('An app role of Microsoft Graph.')
@sealed()
type appRole = {
  @description('Its name, as in the roles of a token.')
  name: string

  @description('Its id, the same in every tenant of the global cloud; national clouds have others.')
  id: string
}

@export()
@description('The names that the app expects where it is told no others.')
var defaultBusNames busNames = {
  requests: 'mfa-reset-requests'
  rejected: 'mfa-reset-rejected'
  outcomes: 'mfa-reset-outcomes'
  audit: 'audit'
}

@export()
@description('What both storage accounts have in common: no keys, nothing public, nothing from another tenant.')
var keylessStorage resourceInput<'Microsoft.Storage/storageAccounts@2025-06-01'>.properties = {
  accessTier: 'Hot'
  allowBlobPublicAccess: false
  allowCrossTenantReplication: false
  allowSharedKeyAccess: false
  defaultToOAuthAuthentication: true
  minimumTlsVersion: 'TLS1_2'
  supportsHttpsTrafficOnly: true
}

@export()
@description('What is logged of blobs and tables: what changes them, with whoever did it. Reading is not.')
var storageWrites = [
  { category: 'StorageDelete', enabled: true }
  { category: 'StorageWrite', enabled: true }
]
