// The two nodes that answer requests: $cbs and <entity>/$management.

import rhea from "rhea";

import { Parcel } from "./parcel.js";
import { dress } from "./wire.js";

const { types } = rhea;
const LONG = 0x81;
const TIMESTAMP = 0x83;
const LOCK_LOST = "com.microsoft:message-lock-lost";

// Every token is good.
export function answerToken() {
  return { application_properties: { "status-code": types.wrap_int(202), "status-description": "Accepted" } };
}

export function answerOperation({ source, target }, request) {
  const operation = request.application_properties?.operation;
  const answer = OPERATIONS[operation];
  const entity = operation?.includes("schedule") ? target : source;
  return answer && entity ? answer(entity, request.body) : say(501, {}, `no ${operation} here`, "amqp:not-implemented");
}

const OPERATIONS = {
  "com.microsoft:schedule-message": (entity, { messages }) => {
    const wanted = messages.map((each) => new Parcel(each.message));
    const numbers = wanted.map((each) => entity.put(each, each.scheduledAt));
    return say(200, { "sequence-numbers": types.wrap_array(numbers, LONG) });
  },
  "com.microsoft:cancel-scheduled-message": (entity, body) => {
    const known = body["sequence-numbers"].map((number) => entity.cancel(Number(number)));
    return known.every(Boolean) ? say(200, {}) : say(404, {}, "no such message", "com.microsoft:message-not-found");
  },
  "com.microsoft:renew-lock": (entity, body) => {
    const ends = body["lock-tokens"].map((token) => entity.renew(token));
    if (ends.includes(null)) return say(410, {}, "The lock is lost.", LOCK_LOST);
    return say(200, { expirations: types.wrap_array(ends, TIMESTAMP) });
  },
  "com.microsoft:peek-message": (entity, body) => {
    const seen = entity.peek(Number(body["from-sequence-number"]), Number(body["message-count"]));
    const messages = seen.map((entry) => ({ message: dress(entry) }));
    return messages.length ? say(200, { messages }) : say(204, {}, "nothing there");
  },
  "com.microsoft:update-disposition": (entity, body) => {
    const kept = body["lock-tokens"].map((token) => settle(entity, token, body));
    return kept.every(Boolean) ? say(200, {}) : say(410, {}, "The lock is lost.", LOCK_LOST);
  },
};

function settle(entity, token, body) {
  switch (body["disposition-status"]) {
    case "completed":
      return entity.complete(token);
    case "abandoned":
      return entity.abandon(token, body["properties-to-modify"]);
    case "suspended":
      return entity.deadLetter(token, body["deadletter-reason"], body["deadletter-description"]);
    default:
      return false;
  }
}

function say(status, body, description = "OK", condition = undefined) {
  const told = { statusCode: types.wrap_int(status), statusDescription: description };
  if (condition) told.errorCondition = types.wrap_symbol(condition);
  return { application_properties: told, body };
}
