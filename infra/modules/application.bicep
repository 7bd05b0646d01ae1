metadata description = 'The application that callers over HTTP ask a token for, with the roles that the app knows. It has no secret.'

extension microsoftGraphV1

@description('What the application is found by; it never changes.')
param uniqueName string

@description('What people see.')
param displayName string

@description('The roles that callers may hold.')
var roles = [
  {
    value: 'MfaReset.Request'
    displayName: 'Request resets'
    description: 'Ask for resets, and look at the own ones.'
  }
  {
    value: 'MfaReset.Read'
    displayName: 'Read resets'
    description: 'Look at every reset and at what the app is ready for.'
  }
  {
    value: 'MfaReset.Operate'
    displayName: 'Operate'
    description: 'The same as MfaReset.Read today; meant for whoever runs the app.'
  }
]

@description('What a person asks for who has one of the roles and signs in with Azure CLI.')
var scope = {
  id: guid(uniqueName, 'access')
  value: 'access'
}

@description('The application id of Azure CLI, the same in every tenant. No other may ask in the name of a person.')
var azureCli = '04b07795-8ddb-461a-bbee-02f9e1bf7b46'

resource application 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: uniqueName
  displayName: displayName
  signInAudience: 'AzureADMyOrg'
  identifierUris: ['api://${tenant().tenantId}/${uniqueName}']
  api: {
    oauth2PermissionScopes: [
      {
        id: scope.id
        value: scope.value
        type: 'Admin'
        adminConsentDisplayName: 'Call mfa-reset'
        adminConsentDescription: 'Call mfa-reset in the name of the signed-in person, with the roles that the person has.'
        isEnabled: true
      }
    ]
    preAuthorizedApplications: [
      {
        appId: azureCli
        delegatedPermissionIds: [scope.id]
      }
    ]
    requestedAccessTokenVersion: 2
  }
  appRoles: [
    for role in roles: {
      id: guid(uniqueName, role.value)
      value: role.value
      displayName: role.displayName
      description: role.description
      allowedMemberTypes: ['Application', 'User']
      isEnabled: true
    }
  ]
}

resource servicePrincipal 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: application.appId
  appRoleAssignmentRequired: true
}

@description('The client id: the audience of the tokens of callers.')
output clientId string = application.appId

@description('The identifier URI: what callers name when they ask for a token.')
output identifierUri string = application.identifierUris[0]
