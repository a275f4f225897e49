/** The CloudEvent a run is for. Attributes and extensions are strings; undefined is absent. */
export interface Event {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly subject?: string;
  /** RFC 3339. */
  readonly time?: string;
  readonly datacontenttype?: string;
  readonly dataschema?: string;
  readonly extensions: Readonly<Record<string, unknown>>;
  /** JSON as values, text as string, everything else as Buffer; undefined is no data. */
  readonly data: any;
  get(name: string, otherwise?: unknown): any;
}

/** What an event that is sent may have beside its type and data; other members are extensions. */
export interface Attributes {
  subject?: string;
  source?: string;
  datacontenttype?: string;
  [extension: string]: string | number | boolean | undefined;
}

/** One run: an event on its way through the scripts of a function, which share it. */
export interface Context {
  readonly event: Event;
  /** The members of the event's data, where that is a JSON object. */
  readonly params: { get(name: string, otherwise?: unknown): any; has(name: string): boolean; keys(): string[] };
  readonly events: {
    /** Appends an event to the log and resolves to its id once it is durable. A repeated run that sends the same events in the same order adds none. */
    send(type: string, data?: unknown, attributes?: Attributes): Promise<string>;
  };
  /** Values of the function that outlive the run, shared by all its workers on all replicas. */
  readonly state: { get(key: string, otherwise?: unknown): Promise<any>; set(key: string, value: unknown): Promise<void>; delete(key: string): Promise<void> };
  readonly log: Record<"debug" | "info" | "warn" | "error", (message: unknown, fields?: Record<string, unknown>) => void>;
  readonly config: Readonly<Record<string, any>>;
  readonly function: string;
  readonly version: string;
  readonly link: string;
  /** The number of the attempt, from 1. */
  readonly attempt: number;
  readonly isReplay: boolean;
  [shared: string]: any;
}

/** The context of the run under way. */
export const context: Context;

/** Thrown for an event that no further attempt can help. */
export class Permanent extends Error {}

/** Thrown for another attempt, after so many seconds if given. */
export class Retry extends Error {
  constructor(message?: string, after?: number);
  readonly after?: number;
}
