metadata description = 'The Service Bus: requests come in by a queue, rejected copies go to another, outcomes to a topic. No keys.'

import { busNames } from '../types.bicep'

@description('The region.')
param location string

@description('The name of the namespace.')
@minLength(6)
@maxLength(50)
param name string

@description('The tags of every resource.')
param tags { *: string }

@description('The names of its queues and of its topic.')
param names busNames

@description('The object id of the identity of the app.')
param principalId string

@description('The workspace that is told who changes the namespace. Who sends and receives only Premium would tell.')
param workspaceId string

@description('Azure Service Bus Data Receiver.')
var dataReceiver = '4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0'
@description('Azure Service Bus Data Sender.')
var dataSender = '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39'

@description('How long what nobody fetches is kept: outcomes and copies of rejected requests.')
var kept = 'P14D'

@description('The largest size that Standard has: a full topic would refuse every outcome.')
var size = 5120

@description('The queues. None detects duplicates: the ledger does, and what is sent again on purpose must not be dropped.')
var queues = [
  {
    name: names.requests
    properties: {
      deadLetteringOnMessageExpiration: true // a sender may give a message an end; then it is not lost in silence
      lockDuration: 'PT5M'
      maxDeliveryCount: 5
      maxSizeInMegabytes: size
      requiresDuplicateDetection: false
    }
  }
  {
    // A person looks at it, again and again: looking must not move what is there.
    name: names.rejected
    properties: {
      defaultMessageTimeToLive: kept
      lockDuration: 'PT5M'
      maxDeliveryCount: 2000
      maxSizeInMegabytes: size
      requiresDuplicateDetection: false
    }
  }
]

@description('Their names, in the same order.')
var queueNames = map(queues, one => one.name)

@description('A role of the app on a queue.')
@sealed()
type queueRole = {
  @description('The queue.')
  queue: string

  @description('The id of the role.')
  role: string
}

@description('What the app may do: it sends resumes to itself.')
var grants queueRole[] = [
  { queue: names.requests, role: dataReceiver }
  { queue: names.requests, role: dataSender }
  { queue: names.rejected, role: dataSender }
]

resource namespace 'Microsoft.ServiceBus/namespaces@2026-01-01' = {
  name: name
  location: location
  tags: tags
  sku: { name: 'Standard', tier: 'Standard' }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
  }
}

// The newest stable version takes no name but one.
#disable-next-line use-recent-api-versions
resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit'
  scope: namespace
  properties: {
    logAnalyticsDestinationType: 'Dedicated'
    logs: [{ category: 'OperationalLogs', enabled: true }]
    workspaceId: workspaceId
  }
}

resource queue 'Microsoft.ServiceBus/namespaces/queues@2026-01-01' = [
  for one in queues: {
    parent: namespace
    name: one.name
    properties: one.properties
  }
]

resource topic 'Microsoft.ServiceBus/namespaces/topics@2026-01-01' = {
  parent: namespace
  name: names.outcomes
  properties: {
    defaultMessageTimeToLive: kept
    maxSizeInMegabytes: size
    requiresDuplicateDetection: false
  }

  resource audit 'subscriptions' = {
    name: names.audit
    properties: {
      defaultMessageTimeToLive: kept
      lockDuration: 'PT5M'
      maxDeliveryCount: 10
    }
  }
}

resource onQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in grants: {
    name: guid(queue[indexOf(queueNames, grant.queue)].id, principalId, grant.role)
    scope: queue[indexOf(queueNames, grant.queue)]
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.role)
    }
  }
]

resource onTopic 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(topic.id, principalId, dataSender)
  scope: topic
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', dataSender)
  }
}

@description('The host of the namespace.')
output host string = split(namespace.properties.serviceBusEndpoint, ['/', ':'])[3]
