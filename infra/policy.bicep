metadata description = 'What follows from the policy: its effective text, what the identity needs, whether a vault is needed.'

import { appRole, permissionSet, policyName, mode } from 'types.bicep'

@description('What needs which app role of Microsoft Graph: written from the code, which a test holds it to.')
var known = loadJsonContent('catalogue.json')

@description('The policies that come along, as JSON.')
var shipped = {
  narrow: loadTextContent('policy.narrow.json')
  standard: loadTextContent('policy.json')
}

@export()
@description('The policy to take: one of those that come along, where the operator gives none.')
func chosenPolicy(name policyName, own string) string => empty(own) ? shipped[name] : own

@export()
@description('The policy with what the operator is asked for: the mode, and who is never touched besides.')
func effectivePolicy(policy string, mode mode, neverUsers string[], neverGroups string[]) string =>
  string(union(json(policy), {
    mode: mode
    never: {
      users: union(json(policy).?never.?users ?? [], neverUsers)
      groups: union(json(policy).?never.?groups ?? [], neverGroups)
    }
  }))

@description('The names of the steps that a policy takes, also instead of resets where a profile refuses administrators.')
func stepsOf(policy string) string[] =>
  map(
    concat(
      flatten(map(items(json(policy).profiles), profile => profile.value.?steps ?? [])),
      length(filter(items(json(policy).profiles), profile => (profile.value.?privileged ?? 'refuse') != 'allow')) > 0
        ? json(policy).?privileged.?instead ?? []
        : []
    ),
    step => split(step, ':')[0]
  )

@description('The app roles for the methods that a policy removes. A type that is not known stops the deployment.')
func methodRolesOf(policy string) string[] =>
  flatten(map(
    flatten(map(items(json(policy).profiles), profile => array(profile.value.methods))),
    word =>
      word == 'none'
        ? []
        : word == 'all'
            ? map(items(known.methods), method => method.value)
            : word == 'reregister' ? map(known.reregister, type => known.methods[type]) : [known.methods[word]]
  ))

@description('The names of the narrow app roles that a policy needs, each once.')
func narrowRolesOf(policy string) string[] =>
  union(
    known.facts,
    methodRolesOf(policy),
    empty(methodRolesOf(policy)) ? [] : known.listing,
    flatten(map(stepsOf(policy), step => known.steps[step]))
  )

@description('The same names with the one broad role instead of all that it makes unneeded.')
func broadRolesOf(policy string) string[] =>
  empty(intersection(narrowRolesOf(policy), known.broad.covers))
    ? narrowRolesOf(policy)
    : union(filter(narrowRolesOf(policy), name => !contains(known.broad.covers, name)), [known.broad.role])

@export()
@description('The app roles that a policy needs, with their ids.')
func rolesFor(policy string, set permissionSet) appRole[] =>
  map(set == 'broad' ? broadRolesOf(policy) : narrowRolesOf(policy), name => { name: name, id: known.roles[name] })

@export()
@description('Whether a policy makes Temporary Access Passes, whose codes go into a vault.')
func makesPasses(policy string) bool => contains(stepsOf(policy), 'temporaryAccessPass')
