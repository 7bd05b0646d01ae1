// What Service Bus's documentation says of a queue: peek-lock, deliveries counted, dead letters, schedules.

import { randomBytes } from "node:crypto";

const TOO_OFTEN = "MaxDeliveryCountExceeded";

export class Queue {
  // An entity to receive from; `deadLetters` is another, absent for a dead-letter queue itself.
  constructor(path, { lockSeconds, maxDeliveryCount }, deadLetters) {
    this.path = path;
    this.lockMilliseconds = lockSeconds * 1000;
    this.maxDeliveryCount = maxDeliveryCount;
    this.deadLetters = deadLetters;
    this.entries = [];
    this.outlets = new Set();
    this.lastNumber = 0;
  }

  // Take a message in, visible from `at` (milliseconds); give its sequence number.
  put(parcel, at = 0, deliveries = 0) {
    const entry = { number: ++this.lastNumber, parcel, deliveries, lock: null, at, enqueuedAt: Date.now() };
    this.entries.push(entry);
    // A timer may be early by a millisecond.
    if (at > Date.now()) entry.timer = setTimeout(() => this.#enqueue(entry), at - Date.now() + 5);
    this.#offer();
    return entry.number;
  }

  cancel(number) {
    const entry = this.entries.find((each) => each.number === number && each.at > Date.now());
    if (entry) this.#remove(entry);
    return Boolean(entry);
  }

  // Give the first visible message, locked or, for receive-and-delete, gone; null when there is none.
  take(isLocked) {
    const entry = this.entries.find((each) => !each.lock && each.at <= Date.now());
    if (!entry) return null;
    if (!isLocked) {
      this.#remove(entry);
      return entry;
    }
    entry.lock = { token: randomBytes(16), until: 0 };
    this.#extend(entry);
    return entry;
  }

  peek(from, count) {
    return this.entries.filter((each) => each.number >= from).slice(0, count);
  }

  // Give the new end of a lock (milliseconds); null when it is lost.
  renew(token) {
    const entry = this.#locked(token);
    return entry ? this.#extend(entry) : null;
  }

  // Each gives false when the lock is lost.
  complete(token) {
    return this.#settle(token, (entry) => this.#remove(entry));
  }

  release(token) {
    return this.#settle(token, () => {});
  }

  abandon(token, changes = {}) {
    return this.#settle(token, (entry) => {
      entry.parcel.tell(changes);
      this.#countDelivery(entry);
    });
  }

  deadLetter(token, reason, description, changes = {}) {
    return this.#settle(token, (entry) => this.#bury(entry, reason, description, changes));
  }

  // What was scheduled joins the end of the queue, under another number.
  #enqueue(entry) {
    this.#remove(entry);
    this.entries.push(Object.assign(entry, { number: ++this.lastNumber, enqueuedAt: Date.now() }));
    this.#offer();
  }

  #settle(token, act) {
    const entry = this.#locked(token);
    if (!entry) return false;
    clearTimeout(entry.timer);
    entry.lock = null;
    act(entry);
    this.#offer();
    return true;
  }

  #locked(token) {
    return this.entries.find((each) => each.lock?.token.equals(token) && each.lock.until > Date.now());
  }

  #extend(entry) {
    clearTimeout(entry.timer);
    entry.lock.until = Date.now() + this.lockMilliseconds;
    entry.timer = setTimeout(() => {
      entry.lock = null;
      this.#countDelivery(entry);
      this.#offer();
    }, this.lockMilliseconds);
    return entry.lock.until;
  }

  #countDelivery(entry) {
    entry.deliveries += 1;
    if (this.deadLetters && entry.deliveries >= this.maxDeliveryCount) {
      const text = `Message could not be consumed after ${this.maxDeliveryCount} delivery attempts.`;
      this.#bury(entry, TOO_OFTEN, text, {});
    }
  }

  #bury(entry, reason, description, changes) {
    this.#remove(entry);
    const told = { ...changes };
    if (reason) told.DeadLetterReason = reason;
    if (description) told.DeadLetterErrorDescription = description;
    entry.parcel.tell(told);
    this.deadLetters?.put(entry.parcel, 0, entry.deliveries);
  }

  #remove(entry) {
    clearTimeout(entry.timer);
    this.entries.splice(this.entries.indexOf(entry), 1);
  }

  #offer() {
    for (const offer of this.outlets) offer();
  }
}

export class Topic {
  // Each subscription gets a copy of everything.
  constructor(subscriptions) {
    this.subscriptions = subscriptions;
    this.lastNumber = 0;
    this.scheduled = new Map();
  }

  put(parcel, at = 0) {
    const numbers = this.subscriptions.map((each) => each.put(parcel.copy(), at));
    this.scheduled.set(++this.lastNumber, numbers);
    return this.lastNumber;
  }

  cancel(number) {
    const numbers = this.scheduled.get(number) ?? [];
    return this.subscriptions.map((each, index) => each.cancel(numbers[index])).some(Boolean);
  }
}

export class Namespace {
  constructor(queues, topics, options) {
    this.options = options;
    this.targets = new Map();
    this.sources = new Map();
    for (const name of queues) this.targets.set(name.toLowerCase(), this.#addQueue(name));
    for (const [name, subscriptions] of topics) {
      const inner = subscriptions.map((each) => this.#addQueue(`${name}/Subscriptions/${each}`));
      this.targets.set(name.toLowerCase(), new Topic(inner));
    }
  }

  #addQueue(path) {
    const deadLetters = new Queue(`${path}/$DeadLetterQueue`, this.options);
    const queue = new Queue(path, this.options, deadLetters);
    for (const each of [queue, deadLetters]) this.sources.set(each.path.toLowerCase(), each);
    return queue;
  }
}
