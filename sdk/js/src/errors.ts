/**
 * What a call may throw. What happens later, while sending, is a `Report` to `onError`.
 *
 * TenureClientError
 * ├── InvalidOptions   an option of the client cannot be used
 * ├── InvalidEvent     this call cannot be sent as it is; nothing was queued
 * ├── ClientClosed     track or identify after close
 * └── QueueFault       the file of the queue cannot be opened, read or written
 */
export class TenureClientError extends Error {
  override name = "TenureClientError";
}

/** An option of the client cannot be used. */
export class InvalidOptions extends TenureClientError {
  override name = "InvalidOptions";
}

/** This call cannot be sent as it is; nothing was queued. */
export class InvalidEvent extends TenureClientError {
  override name = "InvalidEvent";
}

/** The client was closed before this call. */
export class ClientClosed extends TenureClientError {
  override name = "ClientClosed";
}

/** The file of the queue cannot be opened, read or written. */
export class QueueFault extends TenureClientError {
  override name = "QueueFault";
}
