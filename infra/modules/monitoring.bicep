metadata description = 'Where the app is watched: a workspace and Application Insights. No keys.'

@description('The region.')
param location string

@description('The name of the workspace and of the component.')
param name string

@description('The tags of every resource.')
param tags { *: string }

@description('The object id of the identity of the app.')
param principalId string

@description('How many days logs are kept.')
@minValue(30)
@maxValue(730)
param retentionInDays int

@description('Monitoring Metrics Publisher: sends telemetry without a key.')
var metricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    features: { disableLocalAuth: true }
    retentionInDays: retentionInDays
    sku: { name: 'PerGB2018' }
  }
}

resource component 'Microsoft.Insights/components@2020-02-02' = {
  name: name
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    DisableLocalAuth: true
    WorkspaceResourceId: workspace.id
  }
}

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(component.id, principalId, metricsPublisher)
  scope: component
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', metricsPublisher)
  }
}

@description('Where telemetry goes; without local authentication it opens nothing.')
output connectionString string = component.properties.ConnectionString

@description('The workspace, for queries.')
output workspaceId string = workspace.id
