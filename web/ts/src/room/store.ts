// The one place where the state is held: events go in, views and effects are told.
import { reduce, type Event, type RoomState } from "./state.ts";

export type Listener = (now: RoomState, before: RoomState, e: Event) => void;

export class Store {
  private current: RoomState;
  private readonly queue: Event[] = [];
  private running = false;
  private readonly listeners: Listener[] = [];

  constructor(initial: RoomState) {
    this.current = initial;
  }

  get state(): RoomState {
    return this.current;
  }

  on(l: Listener): void {
    this.listeners.push(l);
  }

  /** Takes an event. One that a listener reports waits until this one is done. */
  readonly dispatch = (e: Event): void => {
    this.queue.push(e);
    if (this.running) return;
    this.running = true;
    try {
      for (let next = this.queue.shift(); next; next = this.queue.shift()) {
        const before = this.current;
        this.current = reduce(before, next);
        if (this.current !== before) for (const l of this.listeners) l(this.current, before, next);
      }
    } finally {
      this.running = false;
    }
  };
}
