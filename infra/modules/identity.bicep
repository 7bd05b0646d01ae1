metadata description = 'The identity that the app runs as: it outlives the app, so what is granted to it does too.'

import { account } from '../types.bicep'

@description('The region.')
param location string

@description('The name of the identity.')
param name string

@description('The tags of every resource.')
param tags { *: string }

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

@description('The identity, by its three names.')
output account account = {
  id: identity.id
  clientId: identity.properties.clientId
  principalId: identity.properties.principalId
}
