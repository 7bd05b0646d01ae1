// Serve a Service Bus namespace on 127.0.0.1 by rhea, until standard input ends; prints the port when ready.
// node broker.js '{"port": 0, "queues": ["q"], "topics": {"t": ["s"]}, "lockSeconds": 30, "maxDeliveryCount": 3}'

import rhea from "rhea";

import { answerOperation, answerToken } from "./management.js";
import { Namespace } from "./queue.js";
import { dress, fault, MAX_BYTES, pathOf, turn, unpack } from "./wire.js";

const wanted = JSON.parse(process.argv[2]);
const namespace = new Namespace(wanted.queues, Object.entries(wanted.topics), wanted);
const container = rhea.create_container({ id: "other-bus" });
const { message: codec } = rhea;
const MESSAGE_FORMAT = 0;
const NODE = /^(?:(?<cbs>\$cbs)|(?<path>.*)\/\$management)$/;

// --- What senders send

container.on("receiver_open", ({ receiver, connection }) => {
  const address = receiver.target?.address;
  const path = pathOf(address);
  const node = NODE.exec(path);
  const entity = namespace.targets.get(path);
  if (!node && !entity) return refuse(receiver, path);
  receiver.set_source({ address: receiver.source?.address });
  receiver.set_target({ address });
  receiver.on("message", (context) => {
    if (node) answer(context, node.groups, connection);
    else takeIn(context, entity);
  });
});

function takeIn(context, entity) {
  const { message, delivery } = context;
  const size = (message.bytes ?? message).length;
  if (size > MAX_BYTES) {
    delivery.reject(fault("amqp:link:message-size-exceeded", `${size} bytes are too many`));
    return;
  }
  for (const each of unpack(context)) entity.put(each, each.scheduledAt);
  delivery.accept();
}

function answer({ message, delivery }, { cbs, path }, connection) {
  delivery.accept();
  const entity = { source: namespace.sources.get(path), target: namespace.targets.get(path) };
  const told = cbs ? answerToken() : answerOperation(entity, message);
  const outlets = connection.answering.get(cbs ?? `${path}/$management`) ?? [];
  const outlet = outlets.find((each) => each.target?.address === message.reply_to) ?? outlets[0];
  outlet?.send({ ...told, correlation_id: message.message_id });
}

// --- What receivers get

container.on("connection_open", ({ connection }) => {
  connection.answering = new Map();
});

container.on("sender_open", ({ sender, connection }) => {
  const address = sender.source?.address;
  const path = pathOf(address);
  const queue = namespace.sources.get(path);
  const node = NODE.exec(path);
  if (!node && !queue) return refuse(sender, path);
  sender.set_source({ address });
  sender.set_target({ address: sender.target?.address });
  if (node) connection.answering.set(path, [...(connection.answering.get(path) ?? []), sender]);
  else serve(sender, queue);
});

function serve(sender, queue) {
  const isLocked = sender.snd_settle_mode !== 1;
  sender.local.attach.snd_settle_mode = sender.snd_settle_mode;
  sender.local.attach.rcv_settle_mode = sender.rcv_settle_mode;
  const tokens = new Map();
  let waits = false;
  // One message a turn: rhea counts a delivery against the credit only when it has written it.
  const offer = () => {
    if (waits) return;
    waits = true;
    setImmediate(() => {
      waits = false;
      if (!sender.is_open() || !sender.sendable()) return;
      const entry = queue.take(isLocked);
      if (entry) {
        const delivery = sender.send(dress(entry), entry.lock && turn(entry.lock.token), MESSAGE_FORMAT);
        if (entry.lock) tokens.set(delivery, entry.lock.token);
        offer();
      } else {
        sender.set_drained(true);
      }
    });
  };
  queue.outlets.add(offer);
  sender.on("sender_flow", offer);
  const leave = () => queue.outlets.delete(offer);
  sender.on("sender_close", leave);
  sender.connection.on("disconnected", leave);
  for (const outcome of ["accepted", "released", "modified", "rejected"]) {
    sender.on(outcome, ({ delivery }) => {
      const token = tokens.get(delivery);
      tokens.delete(delivery);
      if (token) settle(delivery, outcome, queue, token);
    });
  }
}

function settle(delivery, outcome, queue, token) {
  const state = delivery.remote_state;
  const info = { ...(outcome === "rejected" ? state.error?.info : undefined) };
  const { DeadLetterReason: reason, DeadLetterErrorDescription: text, ...changes } = info;
  const acts = {
    accepted: () => queue.complete(token),
    released: () => queue.release(token),
    modified: () => queue.abandon(token, state.message_annotations ?? {}),
    rejected: () => queue.deadLetter(token, reason, text ?? state.error?.description, changes),
  };
  const lost = fault("com.microsoft:message-lock-lost", "The lock is lost.");
  const isDone = acts[outcome]();
  // The outcome is echoed, but for the error that came with a rejection: it would say that settling failed.
  const echo = outcome === "rejected" ? codec.rejected({}) : state;
  delivery.update(true, (isDone ? echo : codec.rejected({ error: lost })).described());
}

// AMQP 1.0, 2.6.3: a link that is refused has no target or source of ours, and is closed at once.
function refuse(link, path) {
  link.close(fault("amqp:not-found", `The messaging entity '${path}' could not be found.`));
}

// --- The process

for (const end of ["disconnected", "connection_error", "session_error", "receiver_error", "sender_error"]) {
  container.on(end, () => {});
}
process.stdin.on("end", () => process.exit(0)).resume();
const server = container.listen({
  port: wanted.port,
  host: "127.0.0.1",
  max_frame_size: 65536,
  receiver_options: { autoaccept: false, max_message_size: MAX_BYTES },
  sender_options: { autosettle: false, treat_modified_as_released: false, max_message_size: MAX_BYTES },
});
server.on("listening", () => console.log(server.address().port));
