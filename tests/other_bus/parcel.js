// A message on its way: the sender's own part of it is passed on byte for byte, as AMQP 1.0 (3.2) asks of a broker.

import rhea from "rhea";

const { types } = rhea;
const HEADER = 0x70;
const DELIVERY_ANNOTATIONS = 0x71;
const ANNOTATIONS = 0x72;
const APPLICATION_PROPERTIES = 0x74;
const DELIVERY_COUNT = 4;

export class Parcel {
  #header = [];
  #annotations = [];
  #told = [];
  #before = [];
  #after = [];

  constructor(bytes) {
    this.size = bytes.length;
    const reader = new types.Reader(bytes);
    while (reader.remaining()) {
      const start = reader.position;
      const section = reader.read();
      const code = Number(section.descriptor.value);
      if (code === HEADER) this.#header = section.value;
      else if (code === ANNOTATIONS) this.#annotations = section.value;
      else if (code === APPLICATION_PROPERTIES) this.#told = section.value;
      else if (code > APPLICATION_PROPERTIES) this.#after.push(bytes.subarray(start, reader.position));
      else if (code !== DELIVERY_ANNOTATIONS) this.#before.push(bytes.subarray(start, reader.position));
    }
  }

  // When it is to become visible (milliseconds), 0 for at once.
  get scheduledAt() {
    const at = this.#annotations.findIndex((each) => each.value === "x-opt-scheduled-enqueue-time");
    return at < 0 ? 0 : Number(this.#annotations[at + 1].value);
  }

  // Set application properties, as settling a message may.
  tell(properties) {
    for (const [name, value] of Object.entries(properties)) {
      const at = this.#told.findIndex((each, index) => index % 2 === 0 && each.value === name);
      if (at >= 0) this.#told = this.#told.toSpliced(at, 2);
      this.#told = [...this.#told, types.wrap_string(name), types.wrap(value)];
    }
  }

  copy() {
    return new Parcel(this.encode(0, {}));
  }

  // Give the bytes for a receiver, with the broker's header and annotations.
  encode(deliveries, annotations) {
    const header = Array.from({ length: DELIVERY_COUNT }, (_, index) => this.#header[index] ?? types.Null());
    const added = Object.entries(annotations).flatMap(([name, value]) => [types.wrap_symbol(name), value]);
    const kept = this.#annotations.filter((_, index, all) => !(all[index - (index % 2)].value in annotations));
    return Buffer.concat([
      write(HEADER, types.List32([...header, types.wrap_uint(deliveries)])),
      write(ANNOTATIONS, types.Map32([...kept, ...added])),
      ...this.#before,
      ...(this.#told.length ? [write(APPLICATION_PROPERTIES, types.Map32(this.#told))] : []),
      ...this.#after,
    ]);
  }
}

function write(code, section) {
  const writer = new types.Writer();
  writer.write(types.described(types.wrap_ulong(code), section));
  return Buffer.from(writer.toBuffer());
}
