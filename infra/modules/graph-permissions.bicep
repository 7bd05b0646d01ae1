metadata description = 'The app roles of Microsoft Graph that the identity of the app is granted. What is taken out here is not revoked.'

extension microsoftGraphV1

import { appRole } from '../types.bicep'

@description('The object id of the identity of the app.')
param principalId string

@description('What is granted.')
param roles appRole[]

@description('The application id of Microsoft Graph, the same in every tenant.')
var graphAppId = '00000003-0000-0000-c000-000000000000'

resource graph 'Microsoft.Graph/servicePrincipals@v1.0' existing = {
  appId: graphAppId
}

resource grants 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [
  for role in roles: {
    appRoleId: role.id
    principalId: principalId
    resourceId: graph.id
  }
]
