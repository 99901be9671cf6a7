/** Client of Tenure for Node. See the README for a start in two minutes. */
export { Client } from "./client.js";
export type { Clock } from "./clock.js";
export { ClientClosed, InvalidEvent, InvalidOptions, QueueFault, TenureClientError } from "./errors.js";
export type { Attributes, Fields, Identifier } from "./event.js";
export type { Options } from "./options.js";
export type { Counts, Kind, Report } from "./report.js";
export { sign } from "./sign.js";
