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
  /** Names this run in records and logs; "" where nobody gave it a name. */
  readonly run: string;
  /** Where the file of `spec.mounts` with that path is. */
  mount(path: string): string;
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

/**
 * Where the file of `spec.mounts` with that path is: below SIGNALBOX_MOUNTS where that is set (programs and scripts), at
 * the path itself in a container.
 */
export function mount(path: string): string;

/**
 * An event that a server answers with. data is JSON, or bytes as they are. Without an id it gets one that is the same
 * when the call is repeated; without a source it is the function. Other members are extensions.
 */
export interface Reply {
  type: string;
  data?: unknown;
  id?: string;
  source?: string;
  subject?: string;
  time?: string | Date;
  datacontenttype?: string;
  [extension: string]: unknown;
}

export interface ServeOptions {
  /** Address to listen on; default SIGNALBOX_HOST, else all. */
  host?: string;
  /** Default PORT, else 8080. */
  port?: number;
  /** Seconds that calls under way may take after SIGTERM; default 30. */
  drain?: number;
}

/** What is called with each event; `context` is that of the call. */
export type Handler = (event: Event) => void | null | Reply | Reply[] | Promise<void | null | Reply | Reply[]>;

/**
 * Calls handler with each event that is posted, until SIGTERM or SIGINT; resolves once the calls under way have ended.
 * What it throws is answered: Permanent with 422, Retry with 503, everything else with 500. GET /healthz answers 200 while
 * events are taken. Rejects when it cannot listen.
 */
export function serve(handler: Handler, options?: ServeOptions): Promise<void>;
