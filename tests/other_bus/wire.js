// Between what rhea gives and what a queue keeps: addresses, tags, batches, annotations, errors.

import rhea from "rhea";

import { Parcel } from "./parcel.js";

export const MAX_BYTES = 262144;
const BATCH_FORMAT = 0x80013700;
const { types, message: codec } = rhea;

// rhea decodes a message and forgets its bytes, which a broker has to pass on.
const decode = codec.decode;
codec.decode = (bytes) => Object.assign(decode(bytes), { bytes });

// Give the path of a link's address, which may be a URI.
export function pathOf(address) {
  const path = String(address).includes("://") ? new URL(address).pathname : String(address);
  return decodeURIComponent(path).replace(/^\/+|\/+$/g, "").toLowerCase();
}

// Give the messages of a transfer: one, or all of a batch, whose data sections are whole messages.
export function unpack({ message, format }) {
  if (format !== BATCH_FORMAT) return [new Parcel(message.bytes)];
  const { content, multiple } = codec.decode(message).body;
  return (multiple ? content : [content]).map((each) => new Parcel(each));
}

// A lock token as .NET writes a Guid into a delivery tag: three fields turned round. Its own inverse.
export function turn(token) {
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  return Buffer.from(order.map((index) => token[index]));
}

// Give a message as a receiver gets it.
export function dress(entry) {
  const annotations = {
    "x-opt-sequence-number": types.wrap_long(entry.number),
    "x-opt-enqueue-sequence-number": types.wrap_long(0),
    "x-opt-enqueued-time": types.wrap_timestamp(entry.enqueuedAt),
    "x-opt-message-state": types.wrap_int(entry.at > Date.now() ? 2 : 0),
  };
  if (entry.lock) annotations["x-opt-locked-until"] = types.wrap_timestamp(entry.lock.until);
  return entry.parcel.encode(entry.deliveries, annotations);
}

// An error with all its fields. AMQP lets a sender leave the last ones out; azure-servicebus 7.15 never comes back from
// a send that was rejected with an error of two.
export function fault(condition, description) {
  return { condition, description, info: {} };
}
