metadata description = 'The function app on Flex Consumption, and all its settings in one place. No secret is among them.'

import { account, busNames } from '../types.bicep'

@description('The region.')
param location string

@description('The name of the app; its address begins with it.')
@minLength(2)
@maxLength(60)
param name string

@description('The tags of every resource.')
param tags { *: string }

@description('The managed identity of the app.')
param runsAs account

@description('The address of the container of its package.')
param packagesUrl string

@description('The addresses of the storage account that the host keeps its own in.')
param hostUrls { blob: string, table: string }

@description('The address of the ledger.')
param ledgerUrl string

@description('The host of the Service Bus namespace.')
param busHost string

@description('The names of its queues and of its topic.')
param names busNames

@description('Where telemetry goes.')
param telemetryConnectionString string

@description('The policy as JSON.')
param policy string

@description('The address of Microsoft Graph.')
param graphUrl string

@description('The address of the vault for Temporary Access Passes; empty where no policy makes any.')
param keyVaultUrl string

@description('Whether callers over HTTP need a token of Microsoft Entra ID; else function keys let them in.')
param requireToken bool

@description('The client id of the application that they ask a token for.')
param callerApplicationId string

@description('How many on-demand instances each group of functions may have at once: all of HTTP is one, each other function another.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int

@description('The memory of an instance in megabytes.')
param instanceMemoryMB 512 | 2048 | 4096

@description('How many calls over HTTP an instance takes at once: docs/decisions/0026-two-accounts-and-what-is-asked.md says why 16.')
var callsAtOnce = 16

@description('What the code reads, in shared/settings.py.')
var ours = {
  AZURE_CLIENT_ID: runsAs.clientId
  AZURE_TENANT_ID: tenant().tenantId
  GRAPH_URL: graphUrl
  KEY_VAULT_URL: keyVaultUrl
  LEDGER_URL: ledgerUrl
  MFA_RESET_POLICY: policy
  OUTCOME_TOPIC: names.outcomes
  REJECTED_QUEUE: names.rejected
  REQUEST_QUEUE: names.requests
  REQUIRE_ENTRA_CALLER: string(requireToken)
  ServiceBusConnection__clientId: runsAs.clientId
  ServiceBusConnection__fullyQualifiedNamespace: busHost
}

@description('What the host of Azure Functions reads.')
var hosts = {
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${runsAs.clientId};Authorization=AAD'
  APPLICATIONINSIGHTS_CONNECTION_STRING: telemetryConnectionString
  AzureWebJobsStorage__blobServiceUri: hostUrls.blob
  AzureWebJobsStorage__clientId: runsAs.clientId
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__tableServiceUri: hostUrls.table
  ServiceBusConnection__credential: 'managedidentity'
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'app' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${runsAs.id}': {} }
  }
  properties: {
    clientCertEnabled: false
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packagesUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: runsAs.id
          }
        }
      }
      runtime: { name: 'python', version: '3.13' }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        triggers: {
          http: { perInstanceConcurrency: callsAtOnce }
        }
      }
    }
    httpsOnly: true
    serverFarmId: plan.id
    siteConfig: {
      ftpsState: 'Disabled'
      http20Enabled: true
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
    }
  }

  resource settings 'config' = {
    name: 'appsettings'
    properties: union(ours, hosts)
  }

  // Nobody deploys with a password. One after the other: the platform takes one change of a site at a time.
  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
    dependsOn: [settings]
  }

  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
    dependsOn: [ftp]
  }

  // Always written: what a deployment leaves out stays as it was.
  resource authentication 'config' = {
    name: 'authsettingsV2'
    properties: {
      globalValidation: {
        excludedPaths: ['/api/health'] // it tells nothing, and probes have no token
        requireAuthentication: requireToken
        unauthenticatedClientAction: requireToken ? 'Return401' : 'AllowAnonymous'
      }
      httpSettings: { requireHttps: true }
      identityProviders: {
        azureActiveDirectory: requireToken
          ? {
              enabled: true
              registration: {
                clientId: callerApplicationId
                openIdIssuer: uri(environment().authentication.loginEndpoint, '${tenant().tenantId}/v2.0')
              }
              validation: {
                allowedAudiences: [callerApplicationId]
              }
            }
          : { enabled: false }
      }
      login: { tokenStore: { enabled: false } }
      platform: { enabled: requireToken }
    }
    dependsOn: [scm] // and so after the settings: no token lets in before they say so
  }
}

@description('The name of the app.')
output name string = app.name

@description('The address of the app.')
output url string = 'https://${app.properties.defaultHostName}'
