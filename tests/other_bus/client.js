// Microsoft's own JavaScript client: carries out one order a line from standard input, answers each with a line.
// node client.js CONNECTION_STRING
// {"do": "receive", "from": ["queue"], "deadLetters": false} → {"result": {"body": …, "lockToken": …}} or {"error": …}

import { createInterface } from "node:readline";

import { ServiceBusClient } from "@azure/service-bus";
import Long from "long";

const PATIENCE = { maxWaitTimeInMs: 5000 };
const client = new ServiceBusClient(process.argv[2], { retryOptions: { maxRetries: 0, timeoutInMs: 10000 } });
const receivers = new Map();
const senders = new Map();
const held = new Map();

function receiver({ from, deadLetters = false }) {
  const key = JSON.stringify([from, deadLetters]);
  const options = { subQueueType: deadLetters ? "deadLetter" : undefined, maxAutoLockRenewalDurationInMs: 0 };
  if (!receivers.has(key)) receivers.set(key, client.createReceiver(...from, options));
  return receivers.get(key);
}

function sender({ to }) {
  if (!senders.has(to)) senders.set(to, client.createSender(to));
  return senders.get(to);
}

const FIELDS = [
  ...["messageId", "correlationId", "subject", "contentType", "timeToLive", "applicationProperties"],
  ...["deliveryCount", "lockToken", "deadLetterReason", "deadLetterErrorDescription"],
];

// A body of plain bytes as text; times in milliseconds.
function describe(message) {
  if (!message) return null;
  const { body, sequenceNumber, lockedUntilUtc, scheduledEnqueueTimeUtc } = message;
  return {
    ...Object.fromEntries(FIELDS.map((name) => [name, message[name] ?? null])),
    body: Buffer.isBuffer(body) ? body.toString() : body,
    sequenceNumber: Number(sequenceNumber),
    lockedUntil: lockedUntilUtc?.getTime() ?? null,
    scheduledEnqueueTime: scheduledEnqueueTimeUtc?.getTime() ?? null,
  };
}

const orders = {
  send: (order) => sender(order).sendMessages(order.message),
  schedule: async (order) => Number((await sender(order).scheduleMessages(order.message, new Date(order.at)))[0]),
  cancel: (order) => sender(order).cancelScheduledMessages(Long.fromNumber(order.number)),
  peek: async (order) => (await receiver(order).peekMessages(10)).map(describe),
  receive: async (order) => {
    const [message] = await receiver(order).receiveMessages(1, PATIENCE);
    if (message) held.set(message.lockToken, message);
    return describe(message);
  },
  complete: (order) => receiver(order).completeMessage(held.get(order.lockToken)),
  abandon: (order) => receiver(order).abandonMessage(held.get(order.lockToken)),
  deadLetter: (order) => receiver(order).deadLetterMessage(held.get(order.lockToken), order.why),
  renew: async (order) => (await receiver(order).renewMessageLock(held.get(order.lockToken))).getTime(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  const answer = await orders[order.do](order).then(
    (result) => ({ result: result ?? null }),
    (error) => ({ error: error.code ?? error.name, text: error.message }),
  );
  console.log(JSON.stringify(answer));
}
process.exit(0);
